// gpt-oss: biases everywhere, attention sinks, a window in every other layer, experts in MXFP4. Planned, not run yet.

#include "runtime/model/common_weights.h"
#include "runtime/model/decoder_config.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read_gpt_oss(const KeySource& source) {
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, RopeParams::Pairing::halves));
    ATLAS_TRY_VOID(read_windows(KeyReader(source), 2, config));
    return config;
}

WeightRules layer_weights(const ModelConfig&, const LayerConfig& layer) {
    using M = const ModelConfig&;
    using L = const LayerConfig&;
    constexpr auto kUpBias = [](M, L l) { return Dims{l.experts.n, l.experts.n_ff}; };
    return join_rules({attention_weights(Need::usual, Need::usual),
                       {{"attn_sinks.weight", Need::required, [](M, L l) { return Dims{l.n_head}; }},
                        norm_weight("post_attention_norm.weight")},
                       expert_weights(layer),
                       {{"ffn_gate_inp.bias", Need::required, [](M, L l) { return Dims{l.experts.n}; }},
                        {"ffn_gate_exps.bias", Need::required, kUpBias},
                        {"ffn_up_exps.bias", Need::required, kUpBias},
                        {"ffn_down_exps.bias", Need::required, [](M m, L l) {
                             return Dims{l.experts.n, m.n_embd};
                         }}}});
}

}  // namespace

extern const Architecture kGptOss;
const Architecture kGptOss = {"gpt-oss", read_gpt_oss, model_weights, layer_weights};

}  // namespace atlas
