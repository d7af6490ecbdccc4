# Asks the shader compiler what it knows. What it lacks is named in the build summary and by `atlas-vk devices`:
# kernels that need it are left out of the build, never silently.

set(ATLAS_MISSING_FEATURES "")

# atlas_glslang_feature(<VARIABLE> <extension> <description>): tries a shader that requires the extension.
function(atlas_glslang_feature variable extension description)
  set(probe ${CMAKE_BINARY_DIR}/gen/probe_${extension}.comp)
  file(CONFIGURE OUTPUT ${probe} CONTENT "#version 460\n#extension @extension@ : require\nvoid main() {}\n" @ONLY)
  execute_process(COMMAND ${ATLAS_GLSLANG} -V --quiet --target-env vulkan1.3 -o ${probe}.spv ${probe} RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    set(${variable} FALSE PARENT_SCOPE)
    message(WARNING "The shader compiler ${ATLAS_GLSLANG} does not know ${extension} (${description}): kernels that use it are left out. "
                    "tools/setup fetches a newer compiler.")
    set(ATLAS_MISSING_FEATURES ${ATLAS_MISSING_FEATURES} "${extension} (${description})" PARENT_SCOPE)
  else()
    set(${variable} TRUE PARENT_SCOPE)
  endif()
endfunction()

atlas_glslang_feature(ATLAS_HAS_COOPMAT GL_KHR_cooperative_matrix "cooperative matrices")
atlas_glslang_feature(ATLAS_HAS_COOPMAT2 GL_NV_cooperative_matrix2 "cooperative matrices, second version")
atlas_glslang_feature(ATLAS_HAS_INTEGER_DOT GL_EXT_integer_dot_product "8-bit dot products")

set(rows "")
foreach(feature IN LISTS ATLAS_MISSING_FEATURES)
  string(APPEND rows "    \"${feature}\",\n")
endforeach()
list(LENGTH ATLAS_MISSING_FEATURES count)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/gen/build_features.h CONTENT "#pragma once
// Generated: what this build's shader compiler could not do.
#include <array>
#include <string_view>

namespace atlas {
inline constexpr std::array<std::string_view, @count@> kMissingShaderFeatures = {
@rows@};
}  // namespace atlas
" @ONLY)
