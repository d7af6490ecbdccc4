// cohere2moe: North Mini Code. One norm for both blocks of a layer; a window in three of four layers, and rope only
// there and in the leading dense layers; experts chosen by sigmoid, whose sum counts half where a shared one is beside
// them.

#include "runtime/model/decoder_config.h"
#include "runtime/model/expert_parts.h"
#include "runtime/model/limits.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

Result<ModelConfig> read_cohere2moe(const KeySource& source) {
    const KeyReader keys(source);
    constexpr auto kPairs = RopeParams::Pairing::adjacent;
    ATLAS_TRY(const float eps, keys.number_or("attention.layer_norm_rms_epsilon", 0, 1, 0));
    DecoderTraits traits = eps > 0 ? runs(kPairs) : runs_with_layer_norms(kPairs);
    traits.experts = {
        .gating = RoutingParams::Gating::sigmoid, .reads_gating = true, .reads_norm = true, .reads_scale = true};
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, traits));
    ATLAS_TRY(config.logit_scale, keys.number_or("logit_scale", 0, 1e6f, 1));
    if (config.logit_scale == 0) config.logit_scale = 1;
    ATLAS_TRY_VOID(split_draft_layers(keys, config));
    ATLAS_TRY_VOID(read_windows(keys, 4, config, 0, FullLayer::first));
    remove_ropes(config, [](uint32_t, L layer) { return layer.window == 0 && layer.experts.n > 0; });
    return config;
}

WeightRules layer_weights(M, L layer) {
    WeightRules rules = join_rules({attention_weights(), maybe_merged(expert_or_dense_weights(layer, Scale::unused))});
    if (layer.experts.n > 0) rules.push_back({kExpProbsBias, Need::optional, [](M, L l) { return Dims{l.experts.n}; }});
    return rules;
}

// Rope has no factors, and the first layer has no rope.
WeightRules cohere2moe_model_weights(M config) {
    WeightRules rules = model_weights(config);
    std::erase_if(rules, [](const WeightRule& rule) { return rule.id == kRopeFreqs; });
    return rules;
}

void feed_forward_block(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    expert_feed_forward(layer, h, out, ops);
    if (layer.config.experts.n > 0 && layer[kFfnUpShared]) ops.scale(out, 0.5f, 0, out);
}

void forward(const ForwardInputs& in, Ops& ops) {
    forward_decoder(in, ops, {.feed_forward = feed_forward_block, .parallel = true});
}

}  // namespace

extern const Architecture kCohere2Moe;
const Architecture kCohere2Moe = {"cohere2moe", read_cohere2moe, cohere2moe_model_weights, layer_weights, {}, forward};

}  // namespace atlas
