# What `cmake --install` puts where, and what `cpack` makes of it: an archive and a .deb.
# For a package that other releases of a distribution can install, configure with the preset "package" (ATLAS_PORTABLE).
include(GNUInstallDirs)

# Man pages and completion scripts are made by the program, of what its --help says.
set(manual ${CMAKE_BINARY_DIR}/manual)
set(completion ${CMAKE_BINARY_DIR}/completion)
add_custom_command(OUTPUT ${manual}/atlas-vk.1 ${completion}/bash
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${manual} ${completion}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${completion}
  COMMAND atlas-vk manual ${manual}
  COMMAND atlas-vk completion bash > ${completion}/bash
  COMMAND atlas-vk completion zsh > ${completion}/zsh
  COMMAND atlas-vk completion fish > ${completion}/fish
  DEPENDS atlas-vk COMMENT "Writing man pages and completion scripts" VERBATIM)
add_custom_target(atlas_manual ALL DEPENDS ${manual}/atlas-vk.1 ${completion}/bash)

# Symbols stay in the build folder: with them the program is fifteen times as large.
install(TARGETS atlas-vk DESTINATION ${CMAKE_INSTALL_BINDIR})
install(CODE "execute_process(COMMAND ${CMAKE_STRIP} \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/atlas-vk\" COMMAND_ERROR_IS_FATAL ANY)")
# The same objects as in a build without packages, and so what the tests ran, with its own copy of the libraries that the next release names differently.
if(ATLAS_PORTABLE)
  set(private_libraries "fmt|spdlog|utf8proc")
  set_target_properties(atlas-vk PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/atlas-vk")
  install(CODE "file(GET_RUNTIME_DEPENDENCIES EXECUTABLES \"$<TARGET_FILE:atlas-vk>\" RESOLVED_DEPENDENCIES_VAR found
    PRE_INCLUDE_REGEXES \"^lib(${private_libraries})[.]\" PRE_EXCLUDE_REGEXES \".*\")
  file(INSTALL \${found} DESTINATION \"\${CMAKE_INSTALL_PREFIX}/lib/atlas-vk\" TYPE SHARED_LIBRARY FOLLOW_SYMLINK_CHAIN)")
endif()
install(DIRECTORY ${manual}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${completion}/bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME atlas-vk)
install(FILES ${completion}/zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _atlas-vk)
install(FILES ${completion}/fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME atlas-vk.fish)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/atlas-vk RENAME copyright)
# The licences of what is copied or compiled into the package, as the distribution keeps them.
foreach(package IN ITEMS libfmt-dev libspdlog-dev libutf8proc-dev nlohmann-json3-dev libcli11-dev libexpected-dev libvulkan-volk-dev)
  if(ATLAS_PORTABLE AND EXISTS /usr/share/doc/${package}/copyright)
    install(FILES /usr/share/doc/${package}/copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/atlas-vk/libraries RENAME ${package})
  endif()
endforeach()
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/atlas-vk)

set(CPACK_PACKAGE_NAME atlas-vk)
set(CPACK_PACKAGE_VENDOR atlas-vk)
set(CPACK_PACKAGE_CONTACT "atlas-vk maintainers")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Runs quantized language models on any Vulkan device")
set(CPACK_PACKAGE_DESCRIPTION "Runs GGUF language models with compute shaders of its own on NVIDIA, AMD and Intel cards,
and on machines with no card by a software device. One binary; no Python, no CUDA, no ROCm.")
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGE_FILE_NAME atlas-vk-${PROJECT_VERSION}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_GENERATOR TXZ DEB)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_SOURCE_DIR}/ci/cmake/package_depends.cmake)
set(CPACK_ATLAS_PROGRAM ${CMAKE_BINARY_DIR}/atlas-vk)
set(CPACK_ATLAS_PRIVATE ${private_libraries})
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libvulkan1, ca-certificates")  # loaded at run time, so no tool sees that they are needed
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "mesa-vulkan-drivers | vulkan-icd")
include(CPack)
