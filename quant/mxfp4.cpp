// mxfp4: element i is 2^(e - 127) times a 4-bit float (sign, two bits of exponent, one of mantissa). The table holds
// the floats doubled, so the scale is halved. Nibbles are placed as in q4_0.  Source: OCP Microscaling Formats
// (MX) 1.0, section 5.3.3.
#include "quant/block_codec.h"
#include "quant/fit.h"
#include "quant/half.h"

namespace atlas {
namespace {

constexpr int8_t kTwiceFp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// The code of the level nearest to `value`.
int fp4_code(float value) {
    const float magnitude = std::abs(value);
    int code = 0;
    for (int at = 0; at < 7; ++at)
        code += magnitude > 0.5f * static_cast<float>(kTwiceFp4[at] + kTwiceFp4[at + 1]) ? 1 : 0;
    return value < 0 && code > 0 ? code + 8 : code;
}

struct Fp4Levels {
    static float nearest(float value) { return kTwiceFp4[fp4_code(value)]; }
    Float4 nearest(Float4 value) const {
        return Float4{nearest(value[0]), nearest(value[1]), nearest(value[2]), nearest(value[3])};
    }
};

}  // namespace

void decode(const Block<Format::mxfp4>& block, std::span<float, 32> out) {
    const float scale = half_e8m0_to_float(block.e);
    for (size_t i = 0; i < 16; ++i) {
        out[i] = static_cast<float>(kTwiceFp4[block.q[i] & 15]) * scale;
        out[i + 16] = static_cast<float>(kTwiceFp4[block.q[i] >> 4]) * scale;
    }
}

void encode(std::span<const float, 32> in, std::span<const float> importance, Block<Format::mxfp4>& block) {
    const auto w = weights_or_ones<32>(importance);
    float largest = 0;
    for (const float value : in) largest = std::max(largest, std::abs(value));
    block = {};
    if (!(largest > kNegligible && std::isfinite(largest))) return;
    // The exponent that puts the largest value below the last level, 12, and the two that clip it: the scale has no
    // finer steps.
    const int fits_all = std::ilogb(largest) - 2 + 128;
    float best_error = std::numeric_limits<float>::infinity();
    for (const int e : {fits_all, fits_all - 1, fits_all - 2}) {
        if (e < 0 || e > 254) continue;
        const float error = error_of_scale(in, w, half_e8m0_to_float(static_cast<uint8_t>(e)), Fp4Levels{});
        if (error < best_error) {
            best_error = error;
            block.e = static_cast<uint8_t>(e);
        }
    }
    const float inverse = 1 / half_e8m0_to_float(block.e);
    for (size_t i = 0; i < 16; ++i)
        block.q[i] = static_cast<uint8_t>(fp4_code(in[i] * inverse) | fp4_code(in[i + 16] * inverse) << 4);
}

}  // namespace atlas
