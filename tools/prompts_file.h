#pragma once
// The file of --prompts.

#include <string>
#include <vector>

#include "runtime/base/error.h"

namespace atlas::tools {

struct PromptLine {
    std::string text;   // the prompt; for a line that is none, the line itself
    std::string error;  // why the line is no prompt; empty: it is one
};

/// One prompt for each line of the file ("-": stdin): a text, or {"prompt": "..."} as in JSON lines. Empty lines and
/// byte order marks are left out. A line that is no prompt does not affect the others. Fails: not_found, io, limit,
/// corrupt (UTF-16), invalid_argument (no prompts).
Result<std::vector<PromptLine>> read_prompts(const std::string& path);

}  // namespace atlas::tools
