// q8_0: element i is d * q[i].
#include "quant/block_codec.h"
#include "quant/fit.h"
#include "quant/half.h"

namespace atlas {

void decode(const Block<Format::q8_0>& block, std::span<float, 32> out) {
    const float d = half_to_float(block.d);
    for (size_t i = 0; i < 32; ++i) out[i] = static_cast<float>(block.q[i]) * d;
}

void encode(std::span<const float, 32> in, std::span<const float> importance, Block<Format::q8_0>& block) {
    constexpr LinearLevels kLevels{-127, 127};
    block.d = half_scale(fit_scale(in, weights_or_ones<32>(importance), kLevels));
    const float inverse = inverse_or_zero(half_to_float(block.d));
    for (size_t i = 0; i < 32; ++i) block.q[i] = static_cast<int8_t>(kLevels.nearest(in[i] * inverse));
}

}  // namespace atlas
