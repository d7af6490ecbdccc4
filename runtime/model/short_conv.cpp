#include "runtime/model/short_conv.h"

#include "runtime/model/limits.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

constexpr WeightId kIn{"shortconv.in_proj.weight"}, kConv{"shortconv.conv.weight"}, kOut{"shortconv.out_proj.weight"};

// out_proj(c * conv(b * u)), [b, c, u] = in_proj h.
void short_conv(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    const ScratchScope scope(ops);
    const StepViews& step = layer.in.step;
    const StateTables tables{step.positions, step.seqs, step.state_before, step.state_after};
    const uint32_t n = layer.config.short_conv.channels;
    const Tensor all = ops.scratch(h.rows, 3 * n, "conv inputs"), y = ops.scratch(h.rows, n, "convolved");
    ops.matmul(layer[kIn], h, all);
    const Tensor b = all.col_range(0, n), c = all.col_range(n, n), u = all.col_range(2 * n, n);
    ops.gated_mul(Activation::none, b, u, u);
    ops.causal_conv(u, layer[kConv], {}, false, tables, layer.in.states[layer.il], y);
    if (!layer.wants_output()) return;
    ops.gated_mul(Activation::none, c, y, y);
    ops.matmul(layer[kOut], y, out);
}

}  // namespace

Result<void> read_short_convs(const KeyReader& keys, ModelConfig& config) {
    ATLAS_TRY(const uint32_t width, keys.count("shortconv.l_cache", {2, kMaxConvWidth}));
    for (LayerConfig& layer : config.layers) {
        if (layer.n_head_kv > 0) continue;
        layer.mixer = Mixer::short_conv;
        layer.short_conv = {width, config.n_embd};
    }
    return {};
}

WeightRules conv_or_attention_weights(const LayerConfig& layer) {
    if (layer.mixer == Mixer::attention) return join_rules({attention_weights(), head_norm_weights()});
    WeightRule conv{kConv, Need::required, [](M m, L l) { return Dims{m.n_embd, l.short_conv.width}; }};
    conv.decoded = true;
    return {norm_weight(kAttnNorm),
            {kIn, Need::required,
             [](M m, L) {
                 return Dims{3 * uint64_t{m.n_embd}, m.n_embd};
             },
             Scale::folded},
            conv,
            {kOut, Need::required,
             [](M m, L) {
                 return Dims{m.n_embd, m.n_embd};
             },
             Scale::folded}};
}

void conv_or_attention(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    (layer.config.mixer == Mixer::attention ? self_attention : short_conv)(layer, h, out, ops);
}

}  // namespace atlas
