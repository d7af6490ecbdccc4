#pragma once
// Where a user's files live. Pure: environment variables are looked up by a function that the caller passes, so that
// libraries read no environment.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "runtime/base/error.h"

namespace atlas {

/// Looks up one environment variable; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const char* name)>;

struct UserDirs {
    std::filesystem::path cache;   // may be deleted at any time: downloads, pipeline caches
    std::filesystem::path config;  // what the user wrote
    std::filesystem::path state;   // what outlives a run but is not a document: histories
};

/// The folders of atlas-vk for this user; they need not exist yet.
/// POSIX: $XDG_CACHE_HOME or ~/.cache, $XDG_CONFIG_HOME or ~/.config, $XDG_STATE_HOME or ~/.local/state,
/// with "atlas-vk" below; relative values are ignored.
/// Fails: not_found (no variable set and the system knows no home folder).
/// Source: XDG base directory specification 0.8.
Result<UserDirs> user_dirs(const Environment& environment);

}  // namespace atlas
