// q4_1: element i is d * code + m. Nibbles are placed as in q4_0.
#include "quant/block_codec.h"
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

}  // namespace atlas
