#pragma once
// What people give as a model: a path, or the name of a model that `atlas-vk pull` stored.

#include <filesystem>
#include <string>

#include "runtime/base/error.h"
#include "tools/models/store.h"

namespace atlas::tools {

/// The user's own store; damaged entries are reported on stderr. Fails: not_found (no home folder).
Result<ModelStore> user_store();

/// The file to open. A path wins over a stored name; the name of a source finds what was pulled from there.
/// Fails: not_found (with the nearest stored names and how to get the model), invalid_argument (a directory).
Result<std::filesystem::path> find_model(const std::string& name);

}  // namespace atlas::tools
