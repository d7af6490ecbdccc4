#pragma once
// Multi-head latent attention (MLA, arXiv:2405.04434), for forward_decoder (runtime/model/decoder_parts.h).

#include "runtime/model/decoder_parts.h"

namespace atlas {

/// The mixer of latent_attention_weights(). It caches one vector per token, the latent and the rotated part of the keys
/// that all heads share, and computes scores and sums on it: what makes keys and values of it is applied to queries and
/// results instead ("absorbed").
void latent_attention(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops);

}  // namespace atlas
