#include "runtime/model/gemma4_decoder.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/model/expert_parts.h"
#include "runtime/model/limits.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

constexpr WeightId kRouterGain{"ffn_gate_inp.scale"}, kDensePostNorm{"post_ffw_norm_1.weight"},
    kExpertsNorm{"pre_ffw_norm_2.weight"}, kExpertsPostNorm{"post_ffw_norm_2.weight"};

// The last layer before `end` that has a window, or has none.
std::optional<uint32_t> last_before(M config, uint32_t end, bool window) {
    for (uint32_t il = end; il-- > 0;)
        if ((config.layers[il].window > 0) == window) return il;
    return std::nullopt;
}

// The last layers have no keys of their own: those with a window read the layer before the last one that has, the
// others that last one.
Result<void> share_caches(const KeyReader& keys, ModelConfig& config) {
    constexpr std::string_view kShared = "attention.shared_kv_layers";
    ATLAS_TRY(const uint32_t n_shared, keys.count_or(kShared, {0, config.n_layer() - 1}, 0));
    const uint32_t n_own = config.n_layer() - n_shared;
    for (uint32_t il = n_own; il < config.n_layer(); ++il) {
        LayerConfig& layer = config.layers[il];
        const uint32_t back = layer.window > 0 ? 2 : 1;
        if (n_own < back || last_before(config, n_own, layer.window > 0) != n_own - back) {
            return fail(ErrorCode::unsupported,
                        "{}: {} of {} layers: the last two layers before them are not one with a "
                        "window and one without",
                        keys.full(kShared), n_shared, config.n_layer());
        }
        layer.kv_layer = n_own - back;
    }
    return {};
}

}  // namespace

Result<void> read_gemma4_layers(const KeyReader& keys, ModelConfig& config) {
    const LayerConfig full = config.layers.front();
    LayerConfig window = full;
    ATLAS_TRY(window.head_dim, keys.count_or("attention.key_length_swa", {1, kMaxWidth}, full.head_dim));
    ATLAS_TRY(window.v_head_dim, keys.count_or("attention.value_length_swa", {1, kMaxWidth}, window.head_dim));
    ATLAS_TRY_VOID(check_heads(keys, window));
    ATLAS_TRY(window.rope.n_rot, keys.count_or("rope.dimension_count_swa", {2, window.head_dim}, window.head_dim));
    if (window.rope.n_rot % 2 != 0) {
        return fail(ErrorCode::corrupt, "{}: expected an even number, found {}", keys.full("rope.dimension_count_swa"),
                    window.rope.n_rot);
    }
    for (LayerConfig& layer : config.layers) {
        if (layer.window == 0) continue;
        layer.head_dim = layer.rope.head_dim = window.head_dim;
        layer.v_head_dim = window.v_head_dim;
        layer.rope.n_rot = window.rope.n_rot;
        layer.rope_factors = false;
    }
    ATLAS_TRY_VOID(read_window_ropes(keys, 10000, config));
    return share_caches(keys, config);
}

WeightRules gemma4_model_weights(M config) {
    WeightRules rules = model_weights(config);
    for (WeightRule& rule : rules) {
        if (!(rule.id == kRopeFreqs)) continue;
        rule.dims = [](M m, L first) {
            const auto full =
                std::find_if(m.layers.begin(), m.layers.end(), [](L layer) { return layer.rope_factors; });
            return Dims{(full == m.layers.end() ? first : *full).rope.n_rot / 2};
        };
    }
    if (config.n_per_layer == 0) return rules;
    return join_rules({rules,
                       {{kPerLayerEmbd, Need::required,
                         [](M m, L) {
                             return Dims{m.n_vocab, m.per_layer_width};
                         }},
                        {kPerLayerProj, Need::required,
                         [](M m, L) {
                             return Dims{m.per_layer_width, m.n_embd};
                         }},
                        {kPerLayerProjNorm, Need::required, [](M m, L) { return Dims{m.n_per_layer}; }}}});
}

WeightRules gemma4_layer_weights(M config, L layer) {
    WeightRules rules = join_rules({attention_weights(),
                                    head_norm_weights(),
                                    {norm_weight(kAttnPostNorm), norm_weight(kFfnNorm), norm_weight(kFfnPostNorm)},
                                    gated_feed_forward_weights(Scale::unused),
                                    {{kLayerScale, Need::optional, [](M, L) { return Dims{1}; }}}});
    for (WeightRule& rule : rules) {
        if (rule.id == kAttnV && layer.window == 0) rule.need = Need::optional;  // else made of the keys' product
    }
    if (layer.kv_layer) {
        constexpr auto kQueries = std::to_array<WeightId>({kAttnK, kAttnKBias, kAttnV, kAttnVBias, kKeyShift,
                                                           kAttnKNorm, kRotateK, kRotateKShift, kRotateQ,
                                                           kRotateKFeedback, kRotateV, kRotateVBack, kRotateVFeedback});
        std::erase_if(rules, [&](const WeightRule& rule) {
            return std::find(kQueries.begin(), kQueries.end(), rule.id) != kQueries.end();
        });
    }
    if (layer.experts.n > 0) {
        constexpr auto kExperts = [](M, L l) { return Dims{l.experts.n}; };
        rules = join_rules({rules,
                            maybe_merged(expert_weights(layer)),
                            {norm_weight(kRouterGain),
                             norm_weight(kDensePostNorm),
                             norm_weight(kExpertsNorm),
                             norm_weight(kExpertsPostNorm),
                             {kFfnDownExpsScale, Need::optional, kExperts}}});
    }
    if (config.n_per_layer == 0) return rules;
    return join_rules({rules,
                       {{kPerLayerGate, Need::required,
                         [](M m, L) {
                             return Dims{m.n_per_layer, m.n_embd};
                         }},
                        {kPerLayerUp, Need::required,
                         [](M m, L) {
                             return Dims{m.n_embd, m.n_per_layer};
                         }},
                        norm_weight(kPerLayerNorm)}});
}

namespace {

// Keys with their norm and rope; values with a norm without a gain.
void write_keys(const Layer& layer, const Qkv& qkv, Ops& ops) {
    ops.rms_norm_heads(layer[kAttnV] ? qkv.v : qkv.k, {}, layer.in.config.norm_eps, layer.config.v_head_dim, qkv.v);
    norm_qk(layer, qkv, ops);
    write_kv(layer, qkv, ops);
}

Tensor queries(const Layer& layer, const Tensor& h, Ops& ops) {
    const LayerConfig& c = layer.config;
    if (!c.kv_layer && layer[kAttnV]) {
        const Qkv qkv = project_qkv(layer, h, ops);
        write_keys(layer, qkv, ops);
        return qkv.q;
    }
    const Tensor q = ops.scratch(h.rows, c.q_width(), "q");
    if (c.kv_layer) {
        ops.matmul_add(layer[kAttnQ], h, layer[kAttnQBias], q);
        ops.rms_norm_heads(q, layer[kAttnQNorm], layer.in.config.norm_eps, c.head_dim, q);
        turn_queries(layer, q, ops);
        return q;
    }
    const Qkv qkv{q, ops.scratch(h.rows, c.k_width(), "k"), ops.scratch(h.rows, c.v_width(), "v")};
    const auto terms = std::to_array<MatmulTerm>(
        {{layer[kAttnQ], layer[kAttnQBias], qkv.q}, {layer[kAttnK], layer[kAttnKBias], qkv.k}});
    ops.matmul_group(terms, h);
    write_keys(layer, qkv, ops);
    return q;
}

void attention(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    const ScratchScope scope(ops);
    const Tensor q = queries(layer, h, ops);
    if (!layer.wants_output()) return;
    const Tensor heads = ops.scratch(h.rows, layer.config.n_head * layer.config.v_head_dim, "heads");
    attend(layer, q, heads, ops);
    ops.matmul_add(layer[kAttnOutput], heads, layer[kAttnOutputBias], out);
}

// A dense block and experts side by side, each with norms of its own. x: the residual stream.
void dense_and_experts(const Layer& layer, const Tensor& x, const Tensor& out, Ops& ops) {
    const ScratchScope scope(ops);
    const float eps = layer.in.config.norm_eps;
    const Tensor dense = ops.scratch(x.rows, x.cols, "dense"), h = ops.scratch(x.rows, x.cols, "experts_h"),
                 router = ops.scratch(x.rows, x.cols, "router_h");
    ops.rms_norm(x, layer[kFfnNorm], eps, h);
    feed_forward(layer, h, dense, ops);
    ops.rms_norm(dense, layer[kDensePostNorm], eps, dense);
    ops.rms_norm(x, layer[kRouterGain], eps, router);
    ops.rms_norm(x, layer[kExpertsNorm], eps, h);
    routed_feed_forward(layer, {router, 1 / std::sqrt(float(x.cols))}, h, out, ops);
    ops.rms_norm(out, layer[kExpertsPostNorm], eps, out);
    ops.add(out, dense, out);
}

// [n_tokens, per_layer_width], in scratch: half of each token's row of the table, half made of its embedding x.
Tensor per_layer_inputs(const ForwardInputs& in, const Tensor& x, Ops& ops) {
    const ModelConfig& c = in.config;
    if (c.n_per_layer == 0) return {};
    const uint32_t width = c.per_layer_width;
    const Tensor own = ops.scratch(x.rows, width, "per_layer_inputs");
    const ScratchScope scope(ops);
    const Tensor made = ops.scratch(x.rows, width, "per_layer_proj");
    ops.get_rows(in.weights[kPerLayerEmbd], in.step.tokens, own);
    ops.scale(own, std::sqrt(float(c.n_per_layer) / 2), 0, own);
    ops.matmul(in.weights[kPerLayerProj], x, made);
    ops.scale(made, 1 / std::sqrt(float(c.n_embd)), 0, made);
    ops.rms_norm_heads(made, in.weights[kPerLayerProjNorm], c.norm_eps, c.n_per_layer, made);
    ops.scale(made, std::sqrt(0.5f), 0, made);
    ops.add(own, made, own);
    return own;
}

void add_per_layer(const Layer& layer, const Tensor& inputs, ResidualStream& stream, Ops& ops) {
    const uint32_t width = layer.in.config.n_per_layer;
    const Tensor& x = stream.x();
    {
        const ScratchScope scope(ops);
        const Tensor gate = ops.scratch(x.rows, width, "per_layer_gate");
        ops.matmul(layer[kPerLayerGate], x, gate);
        ops.gated_mul(Activation::gelu_tanh, gate, inputs.col_range(layer.il * width, width), gate);
        ops.matmul(layer[kPerLayerUp], gate, stream.block_out());
    }
    ops.rms_norm(stream.block_out(), layer[kPerLayerNorm], layer.in.config.norm_eps, stream.block_out());
    stream.add_block();
}

}  // namespace

void forward_gemma4(const ForwardInputs& in, Ops& ops) {
    const ScratchScope scope(ops);
    ResidualStream stream(in, ops);
    ops.label("embed");
    embed_tokens(in, stream.x(), ops);
    Tensor inputs = per_layer_inputs(in, stream.x(), ops);
    for (uint32_t il = 0; il < in.config.n_layer(); ++il) {
        const Layer layer{in, il};
        const float eps = in.config.norm_eps;
        ops.label("attention");
        attention(layer, stream.normed(layer, kNormOfAttention), stream.block_out(), ops);
        if (!layer.wants_output()) return;
        ops.rms_norm(stream.block_out(), layer[kAttnPostNorm], eps, stream.block_out());
        stream.add_block();
        if (layer.is_last()) {
            stream.keep_outputs();
            inputs = output_rows(in, inputs, ops);
        }
        ops.label("ffn");
        if (layer.config.experts.n > 0)
            dense_and_experts(layer, stream.x(), stream.block_out(), ops);
        else
            feed_forward(layer, stream.normed(layer, kNormOfFeedForward), stream.block_out(), ops);
        ops.rms_norm(stream.block_out(), layer[kFfnPostNorm], eps, stream.block_out());
        stream.add_block();
        if (inputs) add_per_layer(layer, inputs, stream, ops);
        if (const Tensor& factor = layer[kLayerScale]) ops.gated_mul(Activation::none, factor, stream.x(), stream.x());
    }
    const Tensor h = stream.normed(in.weights[kNormOfOutput.gain], {});
    ops.label("output");
    write_logits(in, h, ops);
}

}  // namespace atlas
