// q4_1: element i is d * code + m. Nibbles are placed as in q4_0.
#include "quant/block_codec.h"
#include "quant/fit.h"
#include "quant/half.h"

namespace atlas {

void decode(const Block<Format::q4_1>& block, std::span<float, 32> out) {
    const float d = half_to_float(block.d);
    const float m = half_to_float(block.m);
    for (size_t i = 0; i < 16; ++i) {
        out[i] = static_cast<float>(block.q[i] & 15) * d + m;
        out[i + 16] = static_cast<float>(block.q[i] >> 4) * d + m;
    }
}

void encode(std::span<const float, 32> in, std::span<const float> importance, Block<Format::q4_1>& block) {
    const AffineFit fit = fit_affine(in, weights_or_ones<32>(importance), 15, true);
    block.d = half_scale(fit.scale);
    block.m = half_scale(-fit.min);
    const float inverse = inverse_or_zero(half_to_float(block.d));
    const float min = -half_to_float(block.m);
    const auto code = [&](size_t i) { return static_cast<int>(affine_code(in[i], inverse, min, 15)); };
    for (size_t i = 0; i < 16; ++i) block.q[i] = static_cast<uint8_t>(code(i) | code(i + 16) << 4);
}

}  // namespace atlas
