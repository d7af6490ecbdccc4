#include "tools/version.h"

#include <fmt/format.h>

#include "commit.h"

namespace atlas::tools {

std::string version_text() {
#ifdef __clang__
    const std::string compiler = fmt::format("Clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
    const std::string compiler = fmt::format("GCC {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
    return fmt::format("atlas-vk {} (commit {}, {})", ATLAS_VERSION, kCommit, compiler);
}

}  // namespace atlas::tools
