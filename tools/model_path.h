#pragma once
// What people give as a model: a path, or the name of a model that `atlas-vk pull` stored.

#include <filesystem>
#include <string>

#include "runtime/base/error.h"

namespace atlas::tools {

/// The file to open. A path wins over a stored name.
/// Fails: not_found (with the nearest stored names and how to get the model).
Result<std::filesystem::path> find_model(const std::string& name);

}  // namespace atlas::tools
