#pragma once
// Flags as other programs spell them.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "runtime/base/error.h"

namespace atlas::tools {

/// Replaces other programs' spellings of flags (--temp, --ctx-size, -hf) by ours. `arguments`: those after the
/// command's name. Flags that the command has itself, what follows "--", and all other arguments stay as they are.
/// Fails: invalid_argument for flags that have no counterpart here (-ngl), with what to do instead.
Result<std::vector<std::string>> in_our_spelling(const CLI::App& command, const std::vector<std::string>& arguments);

}  // namespace atlas::tools
