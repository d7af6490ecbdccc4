#pragma once
// Byte counts, element counts and times as people read them.

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/error.h"

namespace atlas {

inline constexpr uint64_t kKiB = uint64_t{1} << 10;
inline constexpr uint64_t kMiB = uint64_t{1} << 20;
inline constexpr uint64_t kGiB = uint64_t{1} << 30;

/// "512 B", "1.50 KiB", "37.2 MiB", "4.00 GiB": three digits that mean something, binary units.
std::string bytes_text(uint64_t bytes);

/// The other way round, as people type it: "12G", "1.5GiB", "800m". K, M, G, T are powers of 1024; a bare number below
/// 4096 means GiB. Fails: invalid_argument (shows the text and an example).
Result<uint64_t> parse_bytes(std::string_view text);

/// "999", "12.3K", "134M", "7.62B": decimal units, for parameters and tokens.
std::string count_text(uint64_t count);

/// "1 token", "2 tokens": of a noun whose plural ends in s.
std::string count_of(uint64_t count, std::string_view noun);

/// "0.42 ms", "380 ms", "12.3 s", "4 min 05 s", "2 h 10 min".
std::string duration_text(double seconds);

}  // namespace atlas
