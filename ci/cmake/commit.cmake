cmake_minimum_required(VERSION 3.25)
# Writes OUT (a header with the commit of SOURCE) if it changed. Run at every build, so that a measurement names what it measured.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=10 OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#pragma once\ninline constexpr char kCommit[] = \"@commit@\";\n" @ONLY)
