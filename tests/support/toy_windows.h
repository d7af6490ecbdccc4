#pragma once
// llama with a sliding window in every layer but the last of two.

#include "runtime/model/common_weights.h"
#include "runtime/model/dense_decoder.h"
#include "runtime/model/registry.h"

namespace atlas::testing {

inline constexpr uint32_t kToyWindow = 40;  // begins and ends within pages

/// Reads a file of architecture llama.
inline Result<ModelConfig> read_windowed_config(const KeySource& keys) {
    ATLAS_TRY(ModelConfig config, read_dense_decoder(keys, RopeParams::Pairing::adjacent));
    for (uint32_t il = 0; il < config.n_layer(); il += 2) config.layers[il].window = kToyWindow;
    return config;
}

inline const Architecture kToyWindows = {
    .name = "toy_windows",
    .read_config = read_windowed_config,
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules({attention_weights(), {norm_weight(kFfnNorm)}, gated_feed_forward_weights()});
        },
    .forward = forward_dense_decoder,
};

}  // namespace atlas::testing
