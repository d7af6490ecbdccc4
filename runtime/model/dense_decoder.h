#pragma once
// The decoder that llama and its relatives share: RMS norm, grouped-query attention with rope, SwiGLU. Optional tensors (biases, rope
// factors, an own output matrix) are used where the file has them.

#include "runtime/model/forward.h"

namespace atlas {

void forward_dense_decoder(const ForwardInputs& inputs, Ops& ops);

/// The names and shapes of such a decoder. The second is for architectures whose reference implementation leaves out the factors of the
/// feed-forward matrices (see Scale).
WeightTable dense_decoder_weights();
WeightTable dense_decoder_weights_without_ffn_scales();

}  // namespace atlas
