// q5_0: element i is d * (code - 16). The low four bits of the codes are placed as in q4_0; bit i of qh is the fifth of
// element i.
#include "quant/block_codec.h"
#include "quant/fit.h"
#include "quant/half.h"

namespace atlas {

void decode(const Block<Format::q5_0>& block, std::span<float, 32> out) {
    const float d = half_to_float(block.d);
    for (size_t i = 0; i < 32; ++i) {
        const int low = i < 16 ? block.q[i] & 15 : block.q[i - 16] >> 4;
        const int high = (block.qh[i / 8] >> (i % 8)) & 1;
        out[i] = static_cast<float>((low | high << 4) - 16) * d;
    }
}

void encode(std::span<const float, 32> in, std::span<const float> importance, Block<Format::q5_0>& block) {
    constexpr LinearLevels kLevels{-16, 15};
    block = {half_scale(fit_scale(in, weights_or_ones<32>(importance), kLevels)), {}, {}};
    const float inverse = inverse_or_zero(half_to_float(block.d));
    for (size_t i = 0; i < 32; ++i) {
        const int code = static_cast<int>(kLevels.nearest(in[i] * inverse)) + 16;
        block.q[i % 16] |= static_cast<uint8_t>((code & 15) << (i < 16 ? 0 : 4));
        block.qh[i / 8] |= static_cast<uint8_t>(code >> 4 << (i % 8));
    }
}

}  // namespace atlas
