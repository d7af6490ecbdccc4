// mellum: Mellum2. The block of qwen3moe; where the file says so three of four layers have a window and another rope.

#include "runtime/model/decoder_config.h"
#include "runtime/model/expert_parts.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read_mellum(const KeySource& source) {
    const KeyReader keys(source);
    DecoderTraits traits = runs(RopeParams::Pairing::halves);
    traits.experts = {.normalized = true, .reads_gating = true, .reads_norm = true, .has_shared = false};
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, traits));
    ATLAS_TRY_VOID(read_windows(keys, 4, config));
    ATLAS_TRY_VOID(read_window_ropes(keys, config.layers.front().rope.rope_theta, config));
    return config;
}

WeightRules layer_weights(const ModelConfig&, const LayerConfig& layer) {
    return join_rules({attention_weights(),
                       head_norm_weights(),
                       {norm_weight(kFfnNorm)},
                       expert_or_dense_weights(layer),
                       layer.experts.n > 0 ? expert_scales() : WeightRules()});
}

}  // namespace

extern const Architecture kMellum;
const Architecture kMellum = {
    .name = "mellum",
    .read_config = read_mellum,
    .model_weights = model_weights,
    .layer_weights = layer_weights,
    .forward = forward_expert_decoder,
};

}  // namespace atlas
