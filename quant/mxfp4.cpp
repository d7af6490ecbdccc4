// mxfp4: element i is 2^(e - 127) times a 4-bit float (sign, two bits of exponent, one of mantissa). The table holds the floats doubled,
// so the scale is halved. Nibbles are placed as in q4_0.  Source: OCP Microscaling Formats (MX) 1.0, section 5.3.3.
#include "quant/block_codec.h"
#include "quant/half.h"

namespace atlas {
namespace {

constexpr int8_t kTwiceFp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace

void decode(const Block<Format::mxfp4>& block, std::span<float, 32> out) {
    const float scale = half_e8m0_to_float(block.e);
    for (size_t i = 0; i < 16; ++i) {
        out[i] = static_cast<float>(kTwiceFp4[block.q[i] & 15]) * scale;
        out[i + 16] = static_cast<float>(kTwiceFp4[block.q[i] >> 4]) * scale;
    }
}

}  // namespace atlas
