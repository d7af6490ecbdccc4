#pragma once
// The file of --prompts.

#include <string>
#include <vector>

#include "runtime/base/error.h"

namespace atlas::tools {

/// One prompt for each line of the file ("-": stdin): a text, or {"prompt": "..."} in the manner of JSON lines. Empty lines and byte order marks
/// are left out.
/// Fails: not_found, io, limit, corrupt (a line that is no prompt: names it; UTF-16), invalid_argument (no prompts).
Result<std::vector<std::string>> read_prompts(const std::string& path);

}  // namespace atlas::tools
