#pragma once
// Four floats at a time, written once for every processor (vector extensions of GCC and Clang). The sums of the scale
// search are split over the lanes by hand: a compiler may not reorder float additions, and so would add one by one.

#include <cstddef>
#include <cstring>
#include <span>

namespace atlas {

using Float4 = float __attribute__((vector_size(16)));

inline Float4 splat(float value) { return Float4{value, value, value, value}; }

inline Float4 load4(std::span<const float> from, size_t at) {
    Float4 lanes;
    std::memcpy(&lanes, from.data() + at, sizeof(lanes));
    return lanes;
}

inline float sum(Float4 lanes) { return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]); }

/// Rounds to nearest, ties to even. Requires |value| < 2^22. The sum with 1.5 * 2^23 has no fraction bits left.
inline Float4 round_small(Float4 value) { return value + splat(12582912.0f) - splat(12582912.0f); }
inline float round_small(float value) { return value + 12582912.0f - 12582912.0f; }

/// Clamps into [low, high]; a NaN becomes `low`.
inline Float4 clamp_number(Float4 value, float low, float high) {
    const Float4 above = value > splat(low) ? value : splat(low);
    return above < splat(high) ? above : splat(high);
}
inline float clamp_number(float value, float low, float high) {
    const float above = value > low ? value : low;
    return above < high ? above : high;
}

}  // namespace atlas
