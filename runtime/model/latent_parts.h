#pragma once
// Multi-head latent attention (MLA, arXiv:2405.04434), for forward_decoder (runtime/model/decoder_parts.h).

#include "runtime/model/decoder_config.h"
#include "runtime/model/decoder_parts.h"

namespace atlas {

/// How many layers are not there for drafting alone (split_draft_layers). Fails: not_found, corrupt.
Result<uint32_t> count_trunk_layers(const KeyReader& keys);

/// Makes all layers of `config` latent ones: sizes, rope, the scale of scores and the temperature of queries.
/// `compresses_queries`: they have a latent vector, too. Fails: not_found, corrupt, unsupported (sizes that no kernel
/// takes).
Result<void> read_latent_attention(const KeyReader& keys, bool compresses_queries, ModelConfig& config);

/// The mixer of latent_attention_weights(). It caches one vector per token, the latent and the rotated part of the keys
/// that all heads share, and computes scores and sums on it: what makes keys and values of it is applied to queries and
/// results instead ("absorbed").
void latent_attention(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops);

}  // namespace atlas
