# Read by cpack once per generator: the .deb depends on what dpkg-shlibdeps finds in the program, without the libraries that come along.
# CPack's own search would depend on those too, because one of them needs another (libspdlog, libfmt).
if(CPACK_GENERATOR STREQUAL "DEB")
  set(folder ${CPACK_PACKAGE_DIRECTORY}/depends)
  file(WRITE ${folder}/debian/control "")  # dpkg-shlibdeps insists on one
  execute_process(COMMAND dpkg-shlibdeps -O ${CPACK_ATLAS_PROGRAM} WORKING_DIRECTORY ${folder} OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE
                  COMMAND_ERROR_IS_FATAL ANY)
  file(REMOVE_RECURSE ${folder})
  string(REGEX REPLACE "^shlibs:Depends=" "" found "${found}")
  string(REPLACE ", " ";" found "${found}")
  if(CPACK_ATLAS_PRIVATE)
    list(FILTER found EXCLUDE REGEX "^lib(${CPACK_ATLAS_PRIVATE})[0-9]")
  endif()
  list(JOIN found ", " found)
  set(CPACK_DEBIAN_PACKAGE_DEPENDS "${CPACK_DEBIAN_PACKAGE_DEPENDS}, ${found}")
endif()
