// q4_k: 8 sub-blocks of 32 elements. Element i is d * scale * code - dmin * min, with the 6-bit scale and min of
// sub-block i / 32; code is the low (even sub-block) or high nibble of byte 32 * (i / 64) + i % 32.
#include "quant/block_codec.h"
#include "quant/half.h"
#include "quant/scales_6bit.h"
#include "quant/superblock_fit.h"

namespace atlas {

void decode(const Block<Format::q4_k>& block, std::span<float, 256> out) {
    const float d = half_to_float(block.d);
    const float dmin = half_to_float(block.dmin);
    const Scales6Bit scales = unpack_scales_6bit(block.scales);
    for (size_t sub = 0; sub < 8; ++sub) {
        const float scale = d * static_cast<float>(scales.scale[sub]);
        const float min = dmin * static_cast<float>(scales.min[sub]);
        const uint8_t* bytes = block.q + 32 * (sub / 2);
        const size_t shift = 4 * (sub % 2);
        for (size_t i = 0; i < 32; ++i) out[32 * sub + i] = scale * static_cast<float>(bytes[i] >> shift & 15) - min;
    }
}

void encode(std::span<const float, 256> in, std::span<const float> importance, Block<Format::q4_k>& block) {
    const auto fit = fit_affine_subs<8>(in, weights_or_ones<256>(importance), 15, 63);
    block = {};
    block.d = fit.d;
    block.dmin = fit.dmin;
    pack_scales_6bit({fit.scale, fit.min}, block.scales);
    for (size_t sub = 0; sub < 8; ++sub) {
        const float inverse = inverse_or_zero(half_to_float(fit.d) * fit.scale[sub]);
        const float min = half_to_float(fit.dmin) * fit.min[sub];
        for (size_t i = 0; i < 32; ++i) {
            const int code = static_cast<int>(affine_code(in[32 * sub + i], inverse, min, 15));
            block.q[32 * (sub / 2) + i] |= static_cast<uint8_t>(code << (4 * (sub % 2)));
        }
    }
}

}  // namespace atlas
