// f32, f16, bf16: one element per block.
#include "quant/block_codec.h"
#include "quant/half.h"

namespace atlas {

void decode(const Block<Format::f32>& block, std::span<float, 1> out) { out[0] = block.value; }
void decode(const Block<Format::f16>& block, std::span<float, 1> out) { out[0] = half_to_float(block.value); }
void decode(const Block<Format::bf16>& block, std::span<float, 1> out) { out[0] = bf16_to_float(block.value); }

void encode(std::span<const float, 1> in, std::span<const float>, Block<Format::f32>& block) { block.value = in[0]; }
void encode(std::span<const float, 1> in, std::span<const float>, Block<Format::f16>& block) {
    block.value = float_to_half(in[0]);
}
void encode(std::span<const float, 1> in, std::span<const float>, Block<Format::bf16>& block) {
    block.value = float_to_bf16(in[0]);
}

}  // namespace atlas
