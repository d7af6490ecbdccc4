#pragma once
// Layers of Mamba-2 (arXiv:2405.21060).

#include "runtime/model/decoder_config.h"
#include "runtime/model/decoder_parts.h"

namespace atlas {

/// The keys ssm.*. Fails: not_found, corrupt, unsupported (a state that no kernel takes).
Result<StateSpaceConfig> read_state_space(const KeyReader& keys);

/// The rules of state_space, with attn_norm.
WeightRules state_space_weights();

/// A mixer: convolution, recurrence, gate, a norm of every group, output product.
void state_space(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops);

/// Attention or state_space, as the layer says.
void state_space_or_attention(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops);

}  // namespace atlas
