// qwen35, qwen35moe: Qwen3.5 and later. Every fourth layer has attention with an output gate, the others a gated delta
// net. Planned, not run yet.

#include "runtime/model/common_weights.h"
#include "runtime/model/decoder_config.h"
#include "runtime/model/limits.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read_qwen35(const KeySource& source) {
    const KeyReader keys(source);
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, RopeParams::Pairing::halves));
    DeltaNetConfig net;
    ATLAS_TRY(net.conv_width, keys.count("ssm.conv_kernel", {1, 64}));
    ATLAS_TRY(net.head_dim, keys.count("ssm.state_size", {1, 1024}));
    ATLAS_TRY(net.n_k_heads, keys.count("ssm.group_count", {1, kMaxHeads}));
    ATLAS_TRY(net.n_v_heads, keys.count("ssm.time_step_rank", {1, kMaxHeads}));
    ATLAS_TRY(const uint32_t interval, keys.count_or("full_attention_interval", {1, kMaxLayers}, 4));
    for (uint32_t il = 0; il < config.n_layer(); ++il) {
        if (il % interval == interval - 1) continue;
        config.layers[il].mixer = Mixer::delta_net;
        config.layers[il].delta_net = net;
    }
    return config;
}

// The rows of a head's output gate follow its queries'.
WeightRules gated_attention_weights() {
    WeightRules rules = join_rules({attention_weights(), head_norm_weights()});
    for (WeightRule& rule : rules) {
        if (!(rule.id == kAttnQ)) continue;
        rule.dims = [](const ModelConfig& m, const LayerConfig& l) { return Dims{2ull * l.q_width(), m.n_embd}; };
        rule.together = Together::none;
    }
    return rules;
}

WeightRules layer_weights(const ModelConfig&, const LayerConfig& layer) {
    WeightRules rules = join_rules({layer.mixer == Mixer::delta_net ? delta_net_weights() : gated_attention_weights(),
                                    {norm_weight("post_attention_norm.weight")},
                                    layer.experts.n > 0 ? expert_weights(layer) : gated_feed_forward_weights()});
    if (layer.experts.n > 0) rules.push_back(norm_weight("ffn_gate_inp_shexp.weight"));
    return rules;
}

}  // namespace

extern const Architecture kQwen35, kQwen35Moe;
const Architecture kQwen35 = {"qwen35", read_qwen35, model_weights, layer_weights};
const Architecture kQwen35Moe = {"qwen35moe", read_qwen35, model_weights, layer_weights};

}  // namespace atlas
