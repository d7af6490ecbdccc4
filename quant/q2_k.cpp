// q2_k: 16 sub-blocks of 16 elements. Element i is d * scale * code - dmin * min, where scale and min are the low and
// high nibble of scales[i / 16], and code is bits 2k, 2k + 1 of byte 32 * (i / 128) + i % 32, k = i % 128 / 32.
#include "quant/block_codec.h"
#include "quant/half.h"
#include "quant/superblock_fit.h"

namespace atlas {

void decode(const Block<Format::q2_k>& block, std::span<float, 256> out) {
    const float d = half_to_float(block.d);
    const float dmin = half_to_float(block.dmin);
    for (size_t sub = 0; sub < 16; ++sub) {
        const float scale = d * static_cast<float>(block.scales[sub] & 15);
        const float min = dmin * static_cast<float>(block.scales[sub] >> 4);
        const uint8_t* bytes = block.q + 32 * (sub / 8) + 16 * (sub % 2);
        const size_t shift = 2 * (sub / 2 % 4);
        for (size_t i = 0; i < 16; ++i) out[16 * sub + i] = scale * static_cast<float>(bytes[i] >> shift & 3) - min;
    }
}

void encode(std::span<const float, 256> in, std::span<const float> importance, Block<Format::q2_k>& block) {
    const auto fit = fit_affine_subs<16>(in, weights_or_ones<256>(importance), 3, 15);
    block = {};
    block.d = fit.d;
    block.dmin = fit.dmin;
    for (size_t sub = 0; sub < 16; ++sub) {
        block.scales[sub] = static_cast<uint8_t>(fit.scale[sub] | fit.min[sub] << 4);
        const float inverse = inverse_or_zero(half_to_float(fit.d) * fit.scale[sub]);
        const float min = half_to_float(fit.dmin) * fit.min[sub];
        uint8_t* bytes = block.q + 32 * (sub / 8) + 16 * (sub % 2);
        const size_t shift = 2 * (sub / 2 % 4);
        for (size_t i = 0; i < 16; ++i) {
            const int code = static_cast<int>(affine_code(in[16 * sub + i], inverse, min, 3));
            bytes[i] |= static_cast<uint8_t>(code << shift);
        }
    }
}

}  // namespace atlas
