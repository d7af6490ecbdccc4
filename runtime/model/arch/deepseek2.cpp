// deepseek2: DeepSeek-V2 and V3, DeepSeek-Coder-V2, GLM-4.7-Flash. Latent attention, a first layer or more without
// experts. Not yet: files whose attn_kv_b is in one piece.

#include <array>

#include "runtime/model/expert_parts.h"
#include "runtime/model/latent_parts.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

// No key says which models have no latent of queries, and which gate by sigmoid: the depth and the vocabulary do.
Result<ModelConfig> read_deepseek2(const KeySource& source) {
    using Gating = RoutingParams::Gating;
    const KeyReader keys(source);
    ATLAS_TRY(const uint32_t n_layer, count_trunk_layers(keys));
    ATLAS_TRY(const uint32_t n_vocab, source.n_vocab());
    const bool is_glm = (n_layer == 47 || n_layer == 48) && n_vocab == 154880;
    const bool is_lite = n_layer == 26 || n_layer == 27 || (n_layer == 48 && n_vocab == 128256);
    DecoderTraits traits = runs(RopeParams::Pairing::adjacent);
    traits.latent = true;
    traits.experts = {.gating = is_glm ? Gating::sigmoid : Gating::softmax,
                      .reads_gating = true,
                      .reads_norm = true,
                      .reads_scale = true};
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, traits));
    ATLAS_TRY_VOID(read_latent_attention(keys, !is_lite, config));
    ATLAS_TRY_VOID(split_draft_layers(keys, config));
    return config;
}

WeightRules layer_weights(M, L layer) {
    WeightRules rules = join_rules(
        {latent_attention_weights(layer), {norm_weight(kFfnNorm)}, expert_or_dense_weights(layer, Scale::unused)});
    if (layer.experts.n > 0) rules.push_back({kExpProbsBias, Need::optional, [](M, L l) { return Dims{l.experts.n}; }});
    return rules;
}

constexpr auto kIgnorable = std::to_array<std::string_view>({"_exps.scale", "_shexp.scale", "ffn_gate_inp.scale"});

void forward(const ForwardInputs& in, Ops& ops) {
    forward_decoder(in, ops, {.mixer = latent_attention, .feed_forward = expert_feed_forward});
}

}  // namespace

extern const Architecture kDeepseek2;
const Architecture kDeepseek2 = {"deepseek2", read_deepseek2, model_weights, layer_weights, kIgnorable, forward};

}  // namespace atlas
