// q5_0: element i is d * (code - 16). The low four bits of the codes are placed as in q4_0; bit i of qh is the fifth of element i.
#include "quant/block_codec.h"
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

}  // namespace atlas
