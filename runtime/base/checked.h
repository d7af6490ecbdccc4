#pragma once
// Arithmetic on untrusted sizes and offsets: returns nothing instead of a wrapped number.

#include <cstdint>
#include <optional>

namespace atlas {

constexpr std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
    if (a > UINT64_MAX - b) return std::nullopt;
    return a + b;
}

constexpr std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) {
    if (b != 0 && a > UINT64_MAX / b) return std::nullopt;
    return a * b;
}

/// Rounds up to a multiple of `alignment`. Requires alignment > 0.
constexpr std::optional<uint64_t> checked_align_up(uint64_t value, uint64_t alignment) {
    const uint64_t rest = value % alignment;
    return rest == 0 ? std::optional<uint64_t>(value) : checked_add(value, alignment - rest);
}

}  // namespace atlas
