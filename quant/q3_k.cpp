// q3_k: 16 sub-blocks of 16 elements. Element i is d * (scale[i / 16] - 32) * (code - 4). The low two bits of the codes
// are placed as in q2_k, the third is bit i / 32 of hmask[i % 32]. Of the 6-bit scales, bytes 0..7 hold the low four
// bits (sub-blocks 0..7 in the low nibbles, 8..15 in the high ones), bytes 8..11 the upper two (sub-block s at bit 2 *
// (s / 4) of byte 8 + s % 4).
#include "quant/block_codec.h"
#include "quant/half.h"
#include "quant/superblock_fit.h"

namespace atlas {

void decode(const Block<Format::q3_k>& block, std::span<float, 256> out) {
    const float d = half_to_float(block.d);
    for (size_t sub = 0; sub < 16; ++sub) {
        const int low = block.scales[sub % 8] >> (4 * (sub / 8)) & 15;
        const int high = block.scales[8 + sub % 4] >> (2 * (sub / 4)) & 3;
        const float scale = d * static_cast<float>((low | high << 4) - 32);
        const uint8_t* bytes = block.q + 32 * (sub / 8) + 16 * (sub % 2);
        const uint8_t* masks = block.hmask + 16 * (sub % 2);
        const size_t shift = 2 * (sub / 2 % 4);
        for (size_t i = 0; i < 16; ++i) {
            const int code = (bytes[i] >> shift & 3) | (masks[i] >> (sub / 2) & 1) << 2;
            out[16 * sub + i] = scale * static_cast<float>(code - 4);
        }
    }
}

void encode(std::span<const float, 256> in, std::span<const float> importance, Block<Format::q3_k>& block) {
    constexpr LinearLevels kLevels{-4, 3};
    const auto fit = fit_scaled_subs<16>(in, weights_or_ones<256>(importance), kLevels, -32);
    block = {};
    block.d = fit.d;
    for (size_t sub = 0; sub < 16; ++sub) {
        const int scale = fit.scale[sub] + 32;
        block.scales[sub % 8] |= static_cast<uint8_t>((scale & 15) << (4 * (sub / 8)));
        block.scales[8 + sub % 4] |= static_cast<uint8_t>(scale >> 4 << (2 * (sub / 4)));
        const float inverse = inverse_or_zero(half_to_float(fit.d) * static_cast<float>(fit.scale[sub]));
        uint8_t* bytes = block.q + 32 * (sub / 8) + 16 * (sub % 2);
        uint8_t* masks = block.hmask + 16 * (sub % 2);
        const size_t shift = 2 * (sub / 2 % 4);
        for (size_t i = 0; i < 16; ++i) {
            const int code = static_cast<int>(kLevels.nearest(in[16 * sub + i] * inverse)) + 4;
            bytes[i] |= static_cast<uint8_t>((code & 3) << shift);
            masks[i] |= static_cast<uint8_t>(code >> 2 << (sub / 2));
        }
    }
}

}  // namespace atlas
