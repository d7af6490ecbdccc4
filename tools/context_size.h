#pragma once
// A context as people type it.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string_view>

#include "runtime/base/error.h"

namespace atlas::tools {

/// Tokens: 16384, or 16k for 16 * 1024. Fails: invalid_argument (what was expected and found).
Result<uint32_t> parse_context(std::string_view text);

/// For CLI::Option::transform of a flag that holds a number of tokens.
CLI::Validator context_size();

}  // namespace atlas::tools
