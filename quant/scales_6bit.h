#pragma once
// The 12 bytes that q4_k and q5_k pack eight 6-bit scales and eight 6-bit minimums into: sub-blocks 0..3 in the low six
// bits of bytes 0..3 (scale) and 4..7 (min); of 4..7 the low four bits in the nibbles of bytes 8..11 (low: scale, high:
// min) and the upper two on top of bytes 0..3 (scale) and 4..7 (min).

#include <array>
#include <cstddef>
#include <cstdint>

namespace atlas {

struct Scales6Bit {
    std::array<uint8_t, 8> scale;  // each 0..63
    std::array<uint8_t, 8> min;
};

inline Scales6Bit unpack_scales_6bit(const uint8_t (&packed)[12]) {
    Scales6Bit out;
    for (size_t i = 0; i < 4; ++i) {
        out.scale[i] = packed[i] & 63;
        out.min[i] = packed[i + 4] & 63;
        out.scale[i + 4] = static_cast<uint8_t>((packed[i + 8] & 15) | packed[i] >> 6 << 4);
        out.min[i + 4] = static_cast<uint8_t>(packed[i + 8] >> 4 | packed[i + 4] >> 6 << 4);
    }
    return out;
}

inline void pack_scales_6bit(const Scales6Bit& in, uint8_t (&packed)[12]) {
    for (size_t i = 0; i < 4; ++i) {
        packed[i] = static_cast<uint8_t>(in.scale[i] | in.scale[i + 4] >> 4 << 6);
        packed[i + 4] = static_cast<uint8_t>(in.min[i] | in.min[i + 4] >> 4 << 6);
        packed[i + 8] = static_cast<uint8_t>((in.scale[i + 4] & 15) | (in.min[i + 4] & 15) << 4);
    }
}

}  // namespace atlas
