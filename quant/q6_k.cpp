// q6_k: 16 sub-blocks of 16 elements. Element i is d * scales[i / 16] * (code - 32). With h = i / 128 and r = i % 128, the low four bits of
// the code are the low (r < 64) or high nibble of ql[64 * h + r % 64], the upper two are bits 2 * (r / 32).. of
// qh[32 * h + r % 32].
#include "quant/block_codec.h"
#include "quant/half.h"

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

}  // namespace atlas
