#pragma once
// The decoder of Gemma 4. Its layers differ in their heads; some read the cache of another layer; values are normed and
// may be made of the keys' product; experts run beside a dense block; a token adds to each layer by a table of its own.

#include "runtime/model/decoder_config.h"
#include "runtime/model/forward.h"

namespace atlas {

/// Heads of layers with a window, from the keys ending in _swa, and layers that share a cache
/// (attention.shared_kv_layers). Fails: corrupt, unsupported.
Result<void> read_gemma4_layers(const KeyReader& keys, ModelConfig& config);

WeightRules gemma4_model_weights(const ModelConfig& config);
WeightRules gemma4_layer_weights(const ModelConfig& config, const LayerConfig& layer);

void forward_gemma4(const ForwardInputs& in, Ops& ops);

}  // namespace atlas
