#pragma once
// Name, version and build of this program.

#include <string>

namespace atlas::tools {

/// "atlas-vk 0.1.0 (commit 1a2b3c4d5e, GCC 12.2.0)".
std::string version_text();

}  // namespace atlas::tools
