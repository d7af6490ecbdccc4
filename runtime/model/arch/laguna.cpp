// laguna: Laguna XS. Heads differ from layer to layer, a gate for what attention gives, a window in three of four
// layers; leading dense layers, then experts chosen by sigmoid and a bias, and one that every token uses.

#include "runtime/model/decoder_config.h"
#include "runtime/model/expert_parts.h"
#include "runtime/model/limits.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

Result<ModelConfig> read_laguna(const KeySource& source) {
    const KeyReader keys(source);
    DecoderTraits traits = runs(RopeParams::Pairing::halves);
    traits.layers_differ = true;
    traits.experts = {
        .gating = RoutingParams::Gating::sigmoid, .reads_gating = true, .reads_norm = true, .reads_scale = true};
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, traits));
    ATLAS_TRY_VOID(read_windows(keys, 4, config, 0, FullLayer::first));
    const RopeParams full = config.layers[0].rope;
    ATLAS_TRY_VOID(read_window_ropes(keys, full.rope_theta, config));
    ATLAS_TRY(const uint32_t n_rot, keys.count_or("rope.dimension_count_swa", {2, full.head_dim}, full.n_rot));
    for (LayerConfig& layer : config.layers) {
        if (layer.experts.n > 0 && layer.experts.n_ff_shared == 0) layer.experts.n_ff_shared = layer.experts.n_ff;
        if (layer.window == 0) continue;
        layer.rope.n_rot = n_rot / 2 * 2;
        layer.rope.attn_factor = 1;
    }
    return config;
}

WeightRules layer_weights(M, L layer) {
    WeightRule gate{kAttnGate, Need::required, [](M m, L l) { return Dims{l.n_head, m.n_embd}; }};
    gate.or_dims = [](M m, L l) { return Dims{l.q_width(), m.n_embd}; };
    WeightRules rules = join_rules({attention_weights(),
                                    head_norm_weights(),
                                    {gate, norm_weight(kFfnNorm)},
                                    expert_or_dense_weights(layer, Scale::unused)});
    if (layer.experts.n > 0) rules.push_back({kExpProbsBias, Need::required, [](M, L l) { return Dims{l.experts.n}; }});
    return rules;
}

void forward(const ForwardInputs& in, Ops& ops) {
    forward_decoder(
        in, ops,
        {.mixer = [](const Layer& layer, const Tensor& h, const Tensor& out,
                     Ops& recorder) { gated_self_attention(layer, Activation::softplus, h, out, recorder); },
         .feed_forward = expert_feed_forward});
}

}  // namespace

extern const Architecture kLaguna;
const Architecture kLaguna = {"laguna", read_laguna, model_weights, layer_weights, {}, forward};

}  // namespace atlas
