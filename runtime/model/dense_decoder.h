#pragma once
// The decoder that llama and its relatives share: RMS norm, grouped-query attention with rope, SwiGLU. Optional tensors
// (biases, rope factors, norms of heads, an own output matrix) are used where the architecture's rules list them and
// the file has them.

#include "runtime/model/decoder_config.h"
#include "runtime/model/forward.h"

namespace atlas {

/// read_decoder_config for a model of equal layers that this build runs. If all layers have the same sliding window,
/// full attention computes the same up to it, so the window becomes the longest context. Fails: as read_decoder_config;
/// unsupported (sizes that no kernel has).
Result<ModelConfig> read_dense_decoder(const KeySource& keys, RopeParams::Pairing pairing);

/// The same of a decoder whose layers may have experts; see DecoderTraits::experts.
Result<ModelConfig> read_expert_decoder(const KeySource& keys, const DecoderTraits& traits);

/// Requires the ids of model_weights, attention_weights(), kFfnNorm and gated_feed_forward_weights(); uses those of
/// head_norm_weights().
void forward_dense_decoder(const ForwardInputs& inputs, Ops& ops);
/// The same with RMS norms of what the blocks add, post_attention_norm and post_ffw_norm.
void forward_decoder_with_post_norms(const ForwardInputs& inputs, Ops& ops);

}  // namespace atlas
