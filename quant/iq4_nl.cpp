// iq4_nl: element i is d * kNonlinear4[code]. Nibbles are placed as in q4_0.
#include "quant/block_codec.h"
#include "quant/half.h"
#include "quant/nonlinear4.h"

namespace atlas {

void decode(const Block<Format::iq4_nl>& block, std::span<float, 32> out) {
    const float d = half_to_float(block.d);
    for (size_t i = 0; i < 16; ++i) {
        out[i] = d * static_cast<float>(kNonlinear4[block.q[i] & 15]);
        out[i + 16] = d * static_cast<float>(kNonlinear4[block.q[i] >> 4]);
    }
}

}  // namespace atlas
