#pragma once
// Flags as other programs spell them.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "runtime/base/error.h"

namespace atlas::tools {

/// Puts our spelling in the place of another program's (--temp, --ctx-size, -hf): `arguments` are those after the command's name. What the
/// command knows itself, what follows "--", and what is no such flag stays as it is.
/// Fails: invalid_argument for flags that have no counterpart here (-ngl), with what to do instead.
Result<std::vector<std::string>> in_our_spelling(const CLI::App& command, const std::vector<std::string>& arguments);

}  // namespace atlas::tools
