#include "runtime/base/user_dirs.h"

#include "runtime/base/os.h"

namespace atlas {

Result<UserDirs> user_dirs(const Environment& environment) {
    ATLAS_TRY(auto cache, os::cache_root(environment));
    ATLAS_TRY(auto config, os::config_root(environment));
    ATLAS_TRY(auto state, os::state_root(environment));
    return UserDirs{cache / "atlas-vk", config / "atlas-vk", state / "atlas-vk"};
}

}  // namespace atlas
