#pragma once

#include <bit>
#include <cstdint>

namespace atlas {

/// The number of tokens that a step for n tokens of many timelines is recorded for: the smallest size >= n, where the
/// sizes are 1 .. 8 and then four between powers of two.
constexpr uint32_t step_size_bucket(uint32_t n) {
    if (n <= 8) return n;
    const uint32_t unit = std::bit_floor(n - 1) / 4;
    return (n + unit - 1) / unit * unit;
}

}  // namespace atlas
