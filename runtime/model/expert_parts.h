#pragma once
// The feed-forward block of experts, for forward_decoder (runtime/model/decoder_parts.h).

#include "runtime/model/decoder_parts.h"

namespace atlas {

/// The experts of the layer's config, and the shared ones where the file has them; ids of expert_weights(). A layer
/// without experts has a dense block.
void expert_feed_forward(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops);

/// A decoder with attention and this block.
void forward_expert_decoder(const ForwardInputs& in, Ops& ops);

}  // namespace atlas
