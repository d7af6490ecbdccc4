#pragma once
// Layers of a short convolution between two gates (LFM2, arXiv:2511.23404).

#include "runtime/model/decoder_config.h"
#include "runtime/model/decoder_parts.h"

namespace atlas {

/// Makes those layers short convolutions that have no keys. Fails: not_found, corrupt.
Result<void> read_short_convs(const KeyReader& keys, ModelConfig& config);

/// The rules of conv_or_attention, with the block's norm.
WeightRules conv_or_attention_weights(const LayerConfig& layer);

/// A short convolution or attention, as the layer says.
void conv_or_attention(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops);

}  // namespace atlas
