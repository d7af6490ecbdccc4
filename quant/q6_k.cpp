// q6_k: 16 sub-blocks of 16 elements. Element i is d * scales[i / 16] * (code - 32). With h = i / 128 and r = i % 128,
// the low four bits of the code are the low (r < 64) or high nibble of ql[64 * h + r % 64], the upper two are bits 2 *
// (r / 32).. of qh[32 * h + r % 32].
#include "quant/block_codec.h"
#include "quant/half.h"
#include "quant/superblock_fit.h"

namespace atlas {

void decode(const Block<Format::q6_k>& block, std::span<float, 256> out) {
    const float d = half_to_float(block.d);
    for (size_t sub = 0; sub < 16; ++sub) {
        const float scale = d * static_cast<float>(block.scales[sub]);
        const size_t half = sub / 8;
        const size_t quarter = sub % 8 / 2;
        const uint8_t* low_bytes = block.ql + 64 * half + 16 * (sub % 4);
        const uint8_t* high_bytes = block.qh + 32 * half + 16 * (sub % 2);
        for (size_t i = 0; i < 16; ++i) {
            const int low = low_bytes[i] >> (4 * (quarter / 2)) & 15;
            const int high = high_bytes[i] >> (2 * quarter) & 3;
            out[16 * sub + i] = scale * static_cast<float>((low | high << 4) - 32);
        }
    }
}

void encode(std::span<const float, 256> in, std::span<const float> importance, Block<Format::q6_k>& block) {
    constexpr LinearLevels kLevels{-32, 31};
    const auto fit = fit_scaled_subs<16>(in, weights_or_ones<256>(importance), kLevels, -128);
    block = {};
    block.d = fit.d;
    for (size_t sub = 0; sub < 16; ++sub) {
        block.scales[sub] = static_cast<int8_t>(fit.scale[sub]);
        const float inverse = inverse_or_zero(half_to_float(fit.d) * static_cast<float>(fit.scale[sub]));
        const size_t half = sub / 8;
        const size_t quarter = sub % 8 / 2;
        uint8_t* low_bytes = block.ql + 64 * half + 16 * (sub % 4);
        uint8_t* high_bytes = block.qh + 32 * half + 16 * (sub % 2);
        for (size_t i = 0; i < 16; ++i) {
            const int code = static_cast<int>(kLevels.nearest(in[16 * sub + i] * inverse)) + 32;
            low_bytes[i] |= static_cast<uint8_t>((code & 15) << (4 * (quarter / 2)));
            high_bytes[i] |= static_cast<uint8_t>(code >> 4 << (2 * quarter));
        }
    }
}

}  // namespace atlas
