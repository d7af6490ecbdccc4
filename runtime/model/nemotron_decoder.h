#pragma once
// The decoder of Nemotron-H: one block per layer, which is Mamba-2, attention, or a feed-forward block.

#include "runtime/model/decoder_config.h"
#include "runtime/model/forward.h"

namespace atlas {

/// Fails: not_found, corrupt, unsupported.
Result<ModelConfig> read_nemotron(const KeySource& source);

WeightRules nemotron_model_weights(const ModelConfig& config);
WeightRules nemotron_layer_weights(const ModelConfig& config, const LayerConfig& layer);

void forward_nemotron(const ForwardInputs& in, Ops& ops);

}  // namespace atlas
