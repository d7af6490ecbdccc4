// gemma2, gemma3, gemma4: norms before and after each block, GeGLU, sliding windows in all but every second (gemma2) or
// sixth layer. gemma3 and gemma4 have norms of heads and another rope base in the layers with a window; gemma4's full
// layers have heads of their own. Planned, not run yet.

#include "runtime/model/common_weights.h"
#include "runtime/model/decoder_config.h"
#include "runtime/model/limits.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

constexpr auto kHalves = RopeParams::Pairing::halves;

Result<ModelConfig> read_gemma2(const KeySource& source) {
    ATLAS_TRY(ModelConfig config, read_decoder_config(source, kHalves));
    ATLAS_TRY_VOID(read_windows(KeyReader(source), 2, config));
    return config;
}

// Positions of the layers with a window are not scaled, and their base is the one that gemma3 was first trained with
// where the file has no other.
Result<void> read_window_ropes(const KeyReader& keys, ModelConfig& config) {
    ATLAS_TRY(const float base, keys.number_or("rope.freq_base_swa", 1.0001f, 1e12f, 10000.0f));
    for (LayerConfig& layer : config.layers) {
        if (layer.window == 0) continue;
        layer.rope.rope_theta = base;
        layer.rope.freq_scale = 1.0f;
    }
    return {};
}

Result<ModelConfig> read_gemma3(const KeySource& source) {
    const KeyReader keys(source);
    ATLAS_TRY(ModelConfig config, read_decoder_config(source, kHalves));
    ATLAS_TRY_VOID(read_windows(keys, 6, config));
    ATLAS_TRY_VOID(read_window_ropes(keys, config));
    return config;
}

// key_length and value_length are those of the full layers where there are others for windows.
Result<ModelConfig> read_gemma4(const KeySource& source) {
    const KeyReader keys(source);
    DecoderTraits traits = kHalves;
    traits.layers_differ = true;
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, traits));
    ATLAS_TRY_VOID(read_windows(keys, 6, config));
    ATLAS_TRY_VOID(read_window_ropes(keys, config));
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

WeightRules layer_weights(const LayerConfig& layer, bool has_head_norms) {
    return join_rules(
        {attention_weights(),
         has_head_norms ? head_norm_weights() : WeightRules(),
         {norm_weight("post_attention_norm.weight"), norm_weight(kFfnNorm), norm_weight("post_ffw_norm.weight")},
         layer.experts.n > 0 ? expert_weights(layer) : gated_feed_forward_weights()});
}

// Full layers take their keys as values.
WeightRules gemma4_layer_weights(const ModelConfig&, const LayerConfig& layer) {
    WeightRules rules = layer_weights(layer, true);
    if (layer.window == 0) std::erase_if(rules, [](const WeightRule& rule) { return rule.id == kAttnV; });
    return rules;
}

}  // namespace

extern const Architecture kGemma2, kGemma3, kGemma4;
const Architecture kGemma2 = {"gemma2", read_gemma2, model_weights,
                              [](const ModelConfig&, const LayerConfig& l) { return layer_weights(l, false); }};
const Architecture kGemma3 = {"gemma3", read_gemma3, model_weights,
                              [](const ModelConfig&, const LayerConfig& l) { return layer_weights(l, true); }};
const Architecture kGemma4 = {"gemma4", read_gemma4, model_weights, gemma4_layer_weights};

}  // namespace atlas
