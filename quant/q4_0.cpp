// q4_0: element i is d * (code - 8). The 16 bytes hold elements 0..15 in their low nibbles, 16..31 in their high ones.
#include "quant/block_codec.h"
#include "quant/fit.h"
#include "quant/half.h"

namespace atlas {

void decode(const Block<Format::q4_0>& block, std::span<float, 32> out) {
    const float d = half_to_float(block.d);
    for (size_t i = 0; i < 16; ++i) {
        out[i] = static_cast<float>((block.q[i] & 15) - 8) * d;
        out[i + 16] = static_cast<float>((block.q[i] >> 4) - 8) * d;
    }
}

void encode(std::span<const float, 32> in, std::span<const float> importance, Block<Format::q4_0>& block) {
    constexpr LinearLevels kLevels{-8, 7};
    block.d = half_scale(fit_scale(in, weights_or_ones<32>(importance), kLevels));
    const float inverse = inverse_or_zero(half_to_float(block.d));
    const auto code = [&](size_t i) { return static_cast<int>(kLevels.nearest(in[i] * inverse)) + 8; };
    for (size_t i = 0; i < 16; ++i) block.q[i] = static_cast<uint8_t>(code(i) | code(i + 16) << 4);
}

}  // namespace atlas
