// iq4_xs: 8 sub-blocks of 32 elements. Element i is d * (scale - 32) * kNonlinear4[code]. Sub-block s has 16 bytes of
// q, nibbles placed as in q4_0; its 6-bit scale has the low four bits in nibble s of scales_l and the upper two at bit
// 2 * s of scales_h.
#include "quant/block_codec.h"
#include "quant/half.h"
#include "quant/nonlinear4.h"
#include "quant/superblock_fit.h"

namespace atlas {

void decode(const Block<Format::iq4_xs>& block, std::span<float, 256> out) {
    const float d = half_to_float(block.d);
    for (size_t sub = 0; sub < 8; ++sub) {
        const int low = block.scales_l[sub / 2] >> (4 * (sub % 2)) & 15;
        const int high = block.scales_h >> (2 * sub) & 3;
        const float scale = d * static_cast<float>((low | high << 4) - 32);
        const uint8_t* bytes = block.q + 16 * sub;
        for (size_t i = 0; i < 16; ++i) {
            out[32 * sub + i] = scale * static_cast<float>(kNonlinear4[bytes[i] & 15]);
            out[32 * sub + i + 16] = scale * static_cast<float>(kNonlinear4[bytes[i] >> 4]);
        }
    }
}

void encode(std::span<const float, 256> in, std::span<const float> importance, Block<Format::iq4_xs>& block) {
    const auto fit = fit_scaled_subs<8>(in, weights_or_ones<256>(importance), Nonlinear4Levels{}, -32);
    block = {};
    block.d = fit.d;
    for (size_t sub = 0; sub < 8; ++sub) {
        const int scale = fit.scale[sub] + 32;
        block.scales_l[sub / 2] |= static_cast<uint8_t>((scale & 15) << (4 * (sub % 2)));
        block.scales_h |= static_cast<uint16_t>(scale >> 4 << (2 * sub));
        const float inverse = inverse_or_zero(half_to_float(fit.d) * static_cast<float>(fit.scale[sub]));
        const auto code = [&](size_t i) { return nonlinear4_code(in[32 * sub + i] * inverse); };
        for (size_t i = 0; i < 16; ++i) block.q[16 * sub + i] = static_cast<uint8_t>(code(i) | code(i + 16) << 4);
    }
}

}  // namespace atlas
