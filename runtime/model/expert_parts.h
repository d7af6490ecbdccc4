#pragma once
// The feed-forward block of experts, for forward_decoder (runtime/model/decoder_parts.h).

#include "runtime/model/decoder_parts.h"

namespace atlas {

/// The experts of the layer's config, and the shared ones where the file has them; ids of expert_weights(). A layer
/// without experts has a dense block.
void expert_feed_forward(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops);

/// Which experts the tokens take: routes [n_tokens, 2 * n_used], from logits [n_tokens, n_experts].
struct Router {
    Tensor input;  // of ffn_gate_inp
    float logit_scale = 1;
};
/// The same with a router that reads something else than the experts, and without the shared ones.
void routed_feed_forward(const Layer& layer, const Router& router, const Tensor& h, const Tensor& out, Ops& ops);

/// A decoder with attention and this block.
void forward_expert_decoder(const ForwardInputs& in, Ops& ops);

}  // namespace atlas
