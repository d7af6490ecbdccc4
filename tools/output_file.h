#pragma once
// Whether a file may be written: nothing is replaced in silence, and what a command reads it never writes.

#include <filesystem>
#include <vector>

#include "runtime/base/error.h"

namespace atlas::tools {

/// The files behind a model's path: of a split model all the parts that are there, else the path itself.
std::vector<std::filesystem::path> model_files(const std::filesystem::path& model);

/// Call before the work starts, with all files that the command reads (paths that do not exist are passed over).
/// Fails: invalid_argument when `out` leads to one of the inputs, by whatever links (--force does not help), when it is a folder, a device or a
/// pipe, and when it exists and `force` is false; not_found when its folder does not exist.
Result<void> check_output(const std::filesystem::path& out, const std::vector<std::filesystem::path>& inputs, bool force);

}  // namespace atlas::tools
