#pragma once
// Checks whether a file may be written: no existing file is replaced unasked, and no command overwrites its input.

#include <filesystem>
#include <vector>

#include "runtime/base/error.h"

namespace atlas::tools {

/// The files of a model's path: all parts that exist of a split model, else the path itself.
std::vector<std::filesystem::path> model_files(const std::filesystem::path& model);

/// Call before the work starts, with all files that the command reads (paths that do not exist are passed over).
/// Fails: invalid_argument when `out` leads to one of the inputs, by whatever links (--force does not help), when it is
/// a folder, a device or a pipe, and when it exists and `force` is false; not_found when its folder does not exist.
Result<void> check_output(const std::filesystem::path& out, const std::vector<std::filesystem::path>& inputs,
                          bool force);

}  // namespace atlas::tools
