// q5_1: element i is d * code + m. Codes are placed as in q5_0.
#include "quant/block_codec.h"
#include "quant/fit.h"
#include "quant/half.h"

namespace atlas {

void decode(const Block<Format::q5_1>& block, std::span<float, 32> out) {
    const float d = half_to_float(block.d);
    const float m = half_to_float(block.m);
    for (size_t i = 0; i < 32; ++i) {
        const int low = i < 16 ? block.q[i] & 15 : block.q[i - 16] >> 4;
        const int high = (block.qh[i / 8] >> (i % 8)) & 1;
        out[i] = static_cast<float>(low | high << 4) * d + m;
    }
}

void encode(std::span<const float, 32> in, std::span<const float> importance, Block<Format::q5_1>& block) {
    const AffineFit fit = fit_affine(in, weights_or_ones<32>(importance), 31, true);
    block = {half_scale(fit.scale), half_scale(-fit.min), {}, {}};
    const float inverse = inverse_or_zero(half_to_float(block.d));
    const float min = -half_to_float(block.m);
    for (size_t i = 0; i < 32; ++i) {
        const int code = static_cast<int>(affine_code(in[i], inverse, min, 31));
        block.q[i % 16] |= static_cast<uint8_t>((code & 15) << (i < 16 ? 0 : 4));
        block.qh[i / 8] |= static_cast<uint8_t>(code >> 4 << (i % 8));
    }
}

}  // namespace atlas
