// iq4_nl: element i is d * kNonlinear4[code]. Nibbles are placed as in q4_0.
#include "quant/block_codec.h"
#include "quant/fit.h"
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

void encode(std::span<const float, 32> in, std::span<const float> importance, Block<Format::iq4_nl>& block) {
    block.d = half_scale(fit_scale(in, weights_or_ones<32>(importance), Nonlinear4Levels{}));
    const float inverse = inverse_or_zero(half_to_float(block.d));
    const auto code = [&](size_t i) { return nonlinear4_code(in[i] * inverse); };
    for (size_t i = 0; i < 16; ++i) block.q[i] = static_cast<uint8_t>(code(i) | code(i + 16) << 4);
}

}  // namespace atlas
