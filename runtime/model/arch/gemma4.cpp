// gemma4: the block of gemma3 with heads of their own size in the full layers, and experts in some models. Planned, not
// run yet.

#include "runtime/model/common_weights.h"
#include "runtime/model/decoder_config.h"
#include "runtime/model/limits.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

// key_length and value_length are those of the full layers where there are others for windows.
Result<ModelConfig> read_gemma4(const KeySource& source) {
    const KeyReader keys(source);
    DecoderTraits traits = RopeParams::Pairing::halves;
    traits.layers_differ = true;
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, traits));
    ATLAS_TRY_VOID(read_windows(keys, 6, config));
    ATLAS_TRY_VOID(read_window_ropes(keys, 10000.0f, config));
    const LayerConfig& first = config.layers.front();
    ATLAS_TRY(const uint32_t k_dim, keys.count_or("attention.key_length_swa", {1, kMaxWidth}, first.head_dim));
    ATLAS_TRY(const uint32_t v_dim, keys.count_or("attention.value_length_swa", {1, kMaxWidth}, first.v_head_dim));
    for (LayerConfig& layer : config.layers) {
        if (layer.window == 0) continue;
        layer.head_dim = k_dim;
        layer.v_head_dim = v_dim;
    }
    return config;
}

// Full layers take their keys as values.
WeightRules layer_weights(const ModelConfig&, const LayerConfig& layer) {
    WeightRules rules = join_rules({attention_weights(),
                                    head_norm_weights(),
                                    {norm_weight(kAttnPostNorm), norm_weight(kFfnNorm), norm_weight(kFfnPostNorm)},
                                    layer.experts.n > 0 ? expert_weights(layer) : gated_feed_forward_weights()});
    if (layer.window == 0) std::erase_if(rules, [](const WeightRule& rule) { return rule.id == kAttnV; });
    return rules;
}

}  // namespace

extern const Architecture kGemma4;
const Architecture kGemma4 = {"gemma4", read_gemma4, model_weights, layer_weights};

}  // namespace atlas
