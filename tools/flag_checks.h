#pragma once
// Checks of flags' values while the command line is parsed, so that a wrong value is wrong usage (exit code 2) and is
// found before a model is loaded. Each is for CLI::Option::check(); they return "" if the value is good, else what was
// expected and found.

#include <cstdint>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>

namespace atlas::tools {

using FlagCheck = std::function<std::string(const std::string&)>;

/// What a check throws where the flag is right and what it names is not there: exit code 1, not wrong usage.
struct NotThere : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A whole number in this range; `high` at its type's maximum is not mentioned.
FlagCheck whole_number(uint64_t low, uint64_t high = std::numeric_limits<uint32_t>::max());
/// A number in this range, neither infinite nor NaN; an infinite bound is not mentioned.
FlagCheck number(double low, double high = std::numeric_limits<double>::infinity());
/// A number of bytes as people type it: 6G, 800M; a bare number below 4096 means GiB (parse_bytes).
FlagCheck byte_size();
/// A file or a pipe that is there; throws NotThere, which names the flag.
FlagCheck input_file(std::string flag);
/// The same, or - for stdin.
FlagCheck input_file_or_stdin(std::string flag);
/// A model of the catalogue in a quantization: qwen2.5-coder-7b:q4_k_m.
FlagCheck shape_name();
/// Formats of the KV cache: q8_0, or q8_0:q4_0.
FlagCheck cache_formats();

}  // namespace atlas::tools
