// glm4moe: GLM-4.5-Air. Leading dense layers, then experts chosen by sigmoid and a bias, and one that every token uses.

#include <array>

#include "runtime/model/dense_decoder.h"
#include "runtime/model/expert_parts.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

Result<ModelConfig> read_glm4moe(const KeySource& source) {
    DecoderTraits traits = RopeParams::Pairing::halves;
    traits.experts = {
        .gating = RoutingParams::Gating::sigmoid, .reads_gating = true, .reads_norm = true, .reads_scale = true};
    ATLAS_TRY(ModelConfig config, read_expert_decoder(source, traits));
    ATLAS_TRY_VOID(split_draft_layers(KeyReader(source), config));
    return config;
}

WeightRules layer_weights(M, L layer) {
    WeightRules norms = head_norm_weights();
    for (WeightRule& rule : norms) rule.need = Need::optional;
    WeightRules rules = join_rules({attention_weights(Need::usual),
                                    norms,
                                    {norm_weight(kAttnPostNorm)},
                                    expert_or_dense_weights(layer, Scale::unused)});
    if (layer.experts.n > 0) rules.push_back({kExpProbsBias, Need::required, [](M, L l) { return Dims{l.experts.n}; }});
    return rules;
}

constexpr auto kIgnorable = std::to_array<std::string_view>({"_exps.scale", "_shexp.scale", "ffn_gate_inp.scale"});

void forward(const ForwardInputs& in, Ops& ops) {
    forward_decoder(in, ops, {.feed_forward = expert_feed_forward, .feed_forward_norm = {kAttnPostNorm}});
}

}  // namespace

extern const Architecture kGlm4Moe;
const Architecture kGlm4Moe = {"glm4moe", read_glm4moe, model_weights, layer_weights, kIgnorable, forward};

}  // namespace atlas
