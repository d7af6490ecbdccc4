// lfm2 and lfm2moe: LFM2 and LFM2.5. Most layers have a short convolution, the others attention; dense or, after the
// first layers, experts chosen by sigmoid and a bias.

#include "runtime/model/expert_parts.h"
#include "runtime/model/registry.h"
#include "runtime/model/short_conv.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

Result<ModelConfig> read_lfm2moe(const KeySource& source) {
    DecoderTraits traits = runs(RopeParams::Pairing::halves);
    traits.layers_differ = traits.attention_in_some = true;
    traits.experts = {.normalized = true, .reads_gating = true, .has_shared = false};
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, traits));
    ATLAS_TRY_VOID(read_short_convs(KeyReader(source), config));
    return config;
}

// Of lfm2 all layers with attention have the window, if there is one.
Result<ModelConfig> read_lfm2(const KeySource& source) {
    ATLAS_TRY(ModelConfig config, read_lfm2moe(source));
    ATLAS_TRY(const uint32_t window, KeyReader(source).count_or("attention.sliding_window", {}, 0));
    for (LayerConfig& layer : config.layers) layer.window = layer.mixer == Mixer::attention ? window : 0;
    return config;
}

// Files name the output norm after the embedding.
WeightRules lfm2_model_weights(M config) {
    WeightRules rules = model_weights(config);
    for (WeightRule& rule : rules)
        if (rule.id == kOutputNorm) rule.stored_as = "token_embd_norm.weight";
    return rules;
}

WeightRules layer_weights(M, L layer) {
    WeightRules rules = join_rules(
        {conv_or_attention_weights(layer), {norm_weight(kFfnNorm)}, expert_or_dense_weights(layer, Scale::unused)});
    if (layer.experts.n > 0) rules.push_back({kExpProbsBias, Need::required, [](M, L l) { return Dims{l.experts.n}; }});
    return rules;
}

void forward(const ForwardInputs& in, Ops& ops) {
    forward_decoder(in, ops, {.mixer = conv_or_attention, .feed_forward = expert_feed_forward});
}

}  // namespace

extern const Architecture kLfm2, kLfm2Moe;
const Architecture kLfm2 = {"lfm2", read_lfm2, lfm2_model_weights, layer_weights, {}, forward};
const Architecture kLfm2Moe = {"lfm2moe", read_lfm2moe, lfm2_model_weights, layer_weights, {}, forward};

}  // namespace atlas
