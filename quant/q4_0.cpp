// q4_0: element i is d * (code - 8). The 16 bytes hold elements 0..15 in their low nibbles, 16..31 in their high ones.
#include "quant/block_codec.h"
#include "quant/half.h"

namespace atlas {

void decode(const Block<Format::q4_0>& block, std::span<float, 32> out) {
    const float d = half_to_float(block.d);
    for (size_t i = 0; i < 16; ++i) {
        out[i] = static_cast<float>((block.q[i] & 15) - 8) * d;
        out[i + 16] = static_cast<float>((block.q[i] >> 4) - 8) * d;
    }
}

}  // namespace atlas
