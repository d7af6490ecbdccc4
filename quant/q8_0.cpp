// q8_0: element i is d * q[i].
#include "quant/block_codec.h"
#include "quant/half.h"

namespace atlas {

void decode(const Block<Format::q8_0>& block, std::span<float, 32> out) {
    const float d = half_to_float(block.d);
    for (size_t i = 0; i < 32; ++i) out[i] = static_cast<float>(block.q[i]) * d;
}

}  // namespace atlas
