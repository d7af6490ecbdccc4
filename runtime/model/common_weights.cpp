#include "runtime/model/common_weights.h"

#include <algorithm>

namespace atlas {

namespace {

Dims embd(const ModelConfig& m, const LayerConfig&) { return {m.n_embd}; }
Dims vocab(const ModelConfig& m, const LayerConfig&) { return {m.n_vocab}; }
Dims vocab_embd(const ModelConfig& m, const LayerConfig&) { return {m.n_vocab, m.n_embd}; }
Dims rope_pairs(const ModelConfig&, const LayerConfig& l) { return {l.rope.n_rot / 2}; }
Dims q(const ModelConfig&, const LayerConfig& l) { return {l.q_width()}; }
Dims k(const ModelConfig&, const LayerConfig& l) { return {l.k_width()}; }
Dims v(const ModelConfig&, const LayerConfig& l) { return {l.v_width()}; }
Dims q_embd(const ModelConfig& m, const LayerConfig& l) { return {l.q_width(), m.n_embd}; }
Dims k_embd(const ModelConfig& m, const LayerConfig& l) { return {l.k_width(), m.n_embd}; }
Dims v_embd(const ModelConfig& m, const LayerConfig& l) { return {l.v_width(), m.n_embd}; }
Dims embd_heads(const ModelConfig& m, const LayerConfig& l) { return {m.n_embd, uint64_t{l.n_head} * l.v_head_dim}; }
Dims k_heads(const ModelConfig&, const LayerConfig& l) { return {l.k_width(), l.head_dim}; }
Dims v_heads(const ModelConfig&, const LayerConfig& l) { return {l.v_width(), l.v_head_dim}; }
Dims head(const ModelConfig&, const LayerConfig& l) { return {l.head_dim}; }
Dims ff(const ModelConfig&, const LayerConfig& l) { return {l.n_ff}; }
Dims ff_embd(const ModelConfig& m, const LayerConfig& l) { return {l.n_ff, m.n_embd}; }
Dims embd_ff(const ModelConfig& m, const LayerConfig& l) { return {m.n_embd, l.n_ff}; }

}  // namespace

WeightRules model_weights(const ModelConfig&) {
    return {{kTokenEmbd, Need::required, vocab_embd},
            {kOutputNorm, Need::required, embd},
            {kOutput, Need::usual, vocab_embd},
            {kOutputBias, Need::optional, vocab},
            {kRopeFreqs, Need::optional, rope_pairs}};
}

// A scale multiplies what its matrix gives: before the bias in attention, after it in the feed-forward block.
WeightRules attention_weights(Need bias, Need output_bias) {
    constexpr auto kStored = Content::as_stored;
    constexpr std::string_view kMatrix = "attn_qkv.weight", kBias = "attn_qkv.bias";
    return {{kAttnNorm, Need::required, embd},
            {kAttnQ, Need::required, q_embd, Scale::folded, Together::qkv, kStored, {}, kMatrix},
            {kAttnQBias, bias, q, Scale::refused, Together::qkv_bias, kStored, {}, kBias},
            {kAttnK, Need::required, k_embd, Scale::folded, Together::qkv, kStored, {}, kMatrix},
            {kAttnKBias, bias, k, Scale::refused, Together::qkv_bias, kStored, {}, kBias},
            {kAttnV, Need::required, v_embd, Scale::folded, Together::qkv, kStored, {}, kMatrix},
            {kAttnVBias, bias, v, Scale::refused, Together::qkv_bias, kStored, {}, kBias},
            {kKeyShift, bias, k, Scale::refused, Together::qkv_bias, Content::key_shift, kAttnKBias.name, kBias},
            {kAttnOutput, Need::required, embd_heads, Scale::folded},
            {kAttnOutputBias, output_bias, embd},
            {kRotateK, Need::optional, k_heads},
            {kRotateKShift, Need::optional, k},
            {kRotateQ, Need::optional, k_heads},
            {kRotateKFeedback, Need::optional, k_heads},
            {kRotateV, Need::optional, v_heads},
            {kRotateVBack, Need::optional, v_heads},
            {kRotateVFeedback, Need::optional, v_heads}};
}

WeightRules head_norm_weights() { return {{kAttnQNorm, Need::required, head}, {kAttnKNorm, Need::required, head}}; }

WeightRules gated_feed_forward_weights(Scale scale) {
    return {{kFfnGate, Need::required, ff_embd, scale, Together::gate_up},
            {kFfnGateBias, Need::optional, ff, scale},
            {kFfnUp, Need::required, ff_embd, scale, Together::gate_up},
            {kFfnUpBias, Need::optional, ff, scale},
            {kFfnDown, Need::required, embd_ff, scale},
            {kFfnDownBias, Need::optional, embd, scale}};
}

WeightRules latent_attention_weights(const LayerConfig& layer) {
    using M = const ModelConfig&;
    using L = const LayerConfig&;
    WeightRules rules{{kAttnNorm, Need::required, embd}};
    if (layer.latent.q_rank > 0) {
        rules.push_back({kAttnQA, Need::required, [](M m, L l) { return Dims{l.latent.q_rank, m.n_embd}; }});
        rules.push_back({kAttnQANorm, Need::required, [](M, L l) { return Dims{l.latent.q_rank}; }});
        rules.push_back({kAttnQB, Need::required, [](M, L l) { return Dims{l.q_width(), l.latent.q_rank}; }});
    } else {
        rules.push_back({kAttnQ, Need::required, q_embd});
    }
    rules.push_back({kAttnKvA, Need::required, [](M m, L l) {
                         return Dims{l.latent.kv_rank + l.latent.rope_dim, m.n_embd};
                     }});
    rules.push_back({kAttnKvANorm, Need::required, [](M, L l) { return Dims{l.latent.kv_rank}; }});
    rules.push_back({kAttnKB, Need::required, [](M, L l) {
                         return Dims{l.n_head, l.latent.kv_rank, l.head_dim - l.latent.rope_dim};
                     }});
    rules.push_back({kAttnVB, Need::required, [](M, L l) { return Dims{l.n_head, l.v_head_dim, l.latent.kv_rank}; }});
    rules.push_back({kAttnOutput, Need::required, embd_heads});
    return rules;
}

WeightRules delta_net_weights() {
    using M = const ModelConfig&;
    using L = const LayerConfig&;
    constexpr auto kQkv = [](M m, L l) { return Dims{l.delta_net.channels(), m.n_embd}; };
    constexpr auto kGate = [](M m, L l) { return Dims{l.delta_net.v_width(), m.n_embd}; };
    constexpr auto kHeadsEmbd = [](M m, L l) { return Dims{l.delta_net.n_v_heads, m.n_embd}; };
    constexpr auto kHeads = [](M, L l) { return Dims{l.delta_net.n_v_heads}; };
    WeightRule conv{kDeltaConv, Need::required, [](M, L l) {
                        return Dims{l.delta_net.channels(), l.delta_net.conv_width};
                    }};
    conv.decoded = true;
    return {{kAttnNorm, Need::required, embd},
            {kDeltaQkv, Need::required, kQkv, Scale::folded},
            {kAttnGate, Need::required, kGate, Scale::folded},
            conv,
            {kDeltaBeta, Need::required, kHeadsEmbd, Scale::folded},
            {kDeltaAlpha, Need::required, kHeadsEmbd, Scale::folded},
            {kDeltaA, Need::required, kHeads},
            {kDeltaDtBias, Need::required, kHeads},
            {kDeltaNorm, Need::required, [](M, L l) { return Dims{l.delta_net.head_dim}; }},
            {kDeltaOut, Need::required,
             [](M m, L l) {
                 return Dims{m.n_embd, l.delta_net.v_width()};
             },
             Scale::folded}};
}

WeightRules fused_feed_forward_weights() {
    WeightRules rules = gated_feed_forward_weights(Scale::unused);
    std::erase_if(rules, [](const WeightRule& rule) { return rule.need == Need::optional; });
    for (WeightRule& rule : rules) {
        if (rule.together == Together::gate_up) rule.fused_as = kFfnUp.name;
    }
    return usually_fused(rules);
}

WeightRules plain_feed_forward_weights() {
    return {{kFfnUp, Need::required, ff_embd},
            {kFfnUpBias, Need::required, ff},
            {kFfnDown, Need::required, embd_ff},
            {kFfnDownBias, Need::required, embd}};
}

WeightRules expert_weights(const LayerConfig& layer, Scale scale) {
    using M = const ModelConfig&;
    using L = const LayerConfig&;
    constexpr auto kRouter = [](M m, L l) { return Dims{l.experts.n, m.n_embd}; };
    constexpr auto kExpertsUp = [](M m, L l) { return Dims{l.experts.n, l.experts.n_ff, l.experts.width(m.n_embd)}; };
    constexpr auto kExpertsDown = [](M m, L l) { return Dims{l.experts.n, l.experts.width(m.n_embd), l.experts.n_ff}; };
    constexpr auto kSharedUp = [](M m, L l) { return Dims{l.experts.n_ff_shared, m.n_embd}; };
    constexpr auto kSharedDown = [](M m, L l) { return Dims{m.n_embd, l.experts.n_ff_shared}; };
    WeightRules rules{{kFfnGateInp, Need::required, kRouter},
                      {kFfnGateExps, Need::required, kExpertsUp, Scale::refused, Together::gate_up},
                      {kFfnUpExps, Need::required, kExpertsUp, Scale::refused, Together::gate_up},
                      {kFfnDownExps, Need::required, kExpertsDown}};
    if (layer.experts.n_ff_shared == 0) return rules;
    return join_rules({rules,
                       {{kFfnGateShared, Need::required, kSharedUp, scale, Together::gate_up_shared},
                        {kFfnUpShared, Need::required, kSharedUp, scale, Together::gate_up_shared},
                        {kFfnDownShared, Need::required, kSharedDown, scale}}});
}

WeightRules maybe_merged(WeightRules rules) {
    for (WeightRule& rule : rules) {
        if (rule.id == kFfnGateExps || rule.id == kFfnUpExps) rule.instead = kFfnGateUpExps;
    }
    const bool has_experts =
        std::any_of(rules.begin(), rules.end(), [](const WeightRule& rule) { return rule.id == kFfnUpExps; });
    if (!has_experts) return rules;
    rules.push_back({kFfnGateUpExps, Need::optional, [](const ModelConfig& m, const LayerConfig& l) {
                         return Dims{l.experts.n, 2 * uint64_t{l.experts.n_ff}, m.n_embd};
                     }});
    return rules;
}

WeightRules expert_or_dense_weights(const LayerConfig& layer, Scale scale) {
    return layer.experts.n > 0 ? expert_weights(layer, scale) : gated_feed_forward_weights(scale);
}

WeightRules expert_scales() {
    constexpr auto kExperts = [](const ModelConfig&, const LayerConfig& l) { return Dims{l.experts.n}; };
    return {{kFfnGateExpsScale, Need::optional, kExperts},
            {kFfnUpExpsScale, Need::optional, kExperts},
            {kFfnDownExpsScale, Need::optional, kExperts}};
}

WeightRule norm_weight(WeightId id) { return {id, Need::required, embd}; }

bool is_product(WeightId id, const Tensor& weight) {
    return weight && weight.rows > 1 && !(id == kTokenEmbd) && !(id == kPerLayerEmbd) &&
           !id.name.starts_with("cache_turn_") && id.name.find("_exps.") == std::string_view::npos;
}

}  // namespace atlas
