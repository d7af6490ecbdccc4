# atlas_library(<name> <folder> <dependency>...) makes the static library atlas_<name> of all .cpp files below a folder.
# atlas_options is what every target of ours is compiled with.

add_library(atlas_options INTERFACE)
target_include_directories(atlas_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(atlas_options INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wno-sign-conversion)
if(ATLAS_WERROR)
  target_compile_options(atlas_options INTERFACE -Werror)
endif()
if(ATLAS_SANITIZE)
  target_compile_options(atlas_options INTERFACE -fsanitize=${ATLAS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(atlas_options INTERFACE -fsanitize=${ATLAS_SANITIZE})
endif()

# Vulkan is loaded at run time by volk; ATLAS_VULKAN_INCLUDE may name newer headers than the distribution's (tools/setup sets it).
find_path(ATLAS_VOLK_INCLUDE volk.h REQUIRED)
add_library(atlas_vulkan INTERFACE)
if(ATLAS_VULKAN_INCLUDE)
  target_include_directories(atlas_vulkan SYSTEM INTERFACE ${ATLAS_VULKAN_INCLUDE})
endif()
target_include_directories(atlas_vulkan SYSTEM INTERFACE ${ATLAS_VOLK_INCLUDE})
target_compile_definitions(atlas_vulkan INTERFACE VK_NO_PROTOTYPES)
target_link_libraries(atlas_vulkan INTERFACE ${CMAKE_DL_LIBS})

function(atlas_library name folder)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cpp)
  if(sources)
    add_library(atlas_${name} STATIC ${sources})
    target_link_libraries(atlas_${name} PUBLIC ${ARGN} PUBLIC atlas_options)
  else()
    add_library(atlas_${name} INTERFACE)
    target_link_libraries(atlas_${name} INTERFACE ${ARGN} atlas_options)
  endif()
endfunction()
