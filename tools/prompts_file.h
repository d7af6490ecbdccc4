#pragma once
// The file of --prompts.

#include <string>
#include <vector>

#include "runtime/base/error.h"

namespace atlas::tools {

struct PromptLine {
    std::string text;   // the prompt, or the line as it stands in the file where it is none
    std::string error;  // why it is none; empty: it is one
};

/// One prompt for each line of the file ("-": stdin): a text, or {"prompt": "..."} in the manner of JSON lines. Empty lines and byte order marks
/// are left out. A line that is no prompt costs only itself.
/// Fails: not_found, io, limit, corrupt (UTF-16), invalid_argument (no prompts).
Result<std::vector<PromptLine>> read_prompts(const std::string& path);

}  // namespace atlas::tools
