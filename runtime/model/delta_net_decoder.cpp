#include "runtime/model/delta_net_decoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

#include "runtime/model/limits.h"

namespace atlas {

namespace {

Result<DeltaNetConfig> read_delta_net(const KeyReader& keys) {
    DeltaNetConfig net;
    ATLAS_TRY(net.conv_width, keys.count("ssm.conv_kernel", {1, kMaxConvWidth}));
    ATLAS_TRY(net.head_dim, keys.count("ssm.state_size", {1, kMaxWidth}));
    ATLAS_TRY(net.n_k_heads, keys.count("ssm.group_count", {1, kMaxHeads}));
    ATLAS_TRY(net.n_v_heads, keys.count("ssm.time_step_rank", {1, kMaxHeads}));
    if (net.head_dim > kLargestDeltaHead) {
        return fail(ErrorCode::unsupported, "{}: supported are up to {}, found {}", keys.full("ssm.state_size"),
                    kLargestDeltaHead, net.head_dim);
    }
    if (net.n_v_heads % net.n_k_heads != 0) {
        return fail(ErrorCode::corrupt, "{}: expected a multiple of {} ({}), found {}", keys.full("ssm.time_step_rank"),
                    net.n_k_heads, keys.full("ssm.group_count"), net.n_v_heads);
    }
    const uint64_t k_width = uint64_t{net.n_k_heads} * net.head_dim, v_width = uint64_t{net.n_v_heads} * net.head_dim;
    if (v_width * net.head_dim + (2 * k_width + v_width) * net.conv_width > kMaxStateNumbers) {
        return fail(ErrorCode::corrupt, "{}: {} heads of {} have a state of more than {} numbers",
                    keys.full("ssm.time_step_rank"), net.n_v_heads, net.head_dim, kMaxStateNumbers);
    }
    if (keys.has("ssm.inner_size")) {
        ATLAS_TRY_VOID(keys.count("ssm.inner_size", {net.v_width(), net.v_width()}));
    }
    return net;
}

// Whether each layer is recurrent: a flag per layer, or all but every n-th.
Result<std::vector<uint32_t>> read_marks(const KeyReader& keys, uint32_t n_layer) {
    constexpr std::string_view kMarks = "attention.recurrent_layers";
    if (keys.has(kMarks)) return keys.per_layer(kMarks, n_layer, {0, 1});
    ATLAS_TRY(const uint32_t interval, keys.count_or("full_attention_interval", {1, kMaxLayers}, 4));
    std::vector<uint32_t> marks(n_layer);
    for (uint32_t il = 0; il < n_layer; ++il) marks[il] = (il + 1) % interval != 0 ? 1 : 0;
    return marks;
}

// `count` columns from `first` of every head of x, a row per token and head.
Tensor part_of_heads(const Tensor& x, uint32_t head_width, uint32_t first, uint32_t count) {
    Tensor heads = x.col_range(first, count);
    heads.rows = x.rows * (x.cols / head_width);
    heads.row_stride_elems = head_width;
    return heads;
}

void gated_attention(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    const ScratchScope scope(ops);
    const LayerConfig& c = layer.config;
    const uint32_t d = c.head_dim;
    const Tensor gated = ops.scratch(h.rows, 2 * c.q_width(), "q and gate");
    const Qkv qkv{ops.scratch(h.rows, c.q_width(), "q"), ops.scratch(h.rows, c.k_width(), "k"),
                  ops.scratch(h.rows, c.v_width(), "v")};
    const auto terms = std::to_array<MatmulTerm>({{layer[kAttnQ], layer[kAttnQBias], gated},
                                                  {layer[kAttnK], layer[kAttnKBias], qkv.k},
                                                  {layer[kAttnV], layer[kAttnVBias], qkv.v}});
    ops.matmul_group(terms, h);
    const float eps = layer.in.config.norm_eps;
    ops.rms_norm(part_of_heads(gated, 2 * d, 0, d), layer[kAttnQNorm], eps, part_of_heads(qkv.q, d, 0, d));
    ops.rms_norm_heads(qkv.k, layer[kAttnKNorm], eps, layer.config.head_dim, qkv.k);
    write_kv(layer, qkv, ops);
    if (!layer.wants_output()) return;
    const Tensor heads = ops.scratch(h.rows, c.q_width(), "heads");
    attend(layer, qkv.q, heads, ops);
    const Tensor rows = part_of_heads(heads, d, 0, d);
    ops.gated_mul(Activation::sigmoid, part_of_heads(gated, 2 * d, d, d), rows, rows);
    ops.matmul_add(layer[kAttnOutput], heads, layer[kAttnOutputBias], out);
}

// What a layer's delta net is made of; qkv before its convolution.
struct DeltaInputs {
    Tensor qkv, gate, alpha, beta;
};

// Of one product whose rows stand by key head: `widths` of each head go to the parts in turn.
void split_by_head(const Tensor& all, uint32_t n_heads, std::span<const Tensor> parts, Ops& ops) {
    const uint32_t head_width = all.cols / n_heads;
    uint32_t first = 0;
    for (const Tensor& part : parts) {
        const ScratchScope scope(ops);
        const uint32_t width = part.cols / n_heads;
        const bool is_dense = part.row_stride_elems == part.cols;
        const Tensor dense = is_dense ? part : ops.scratch(part.rows, part.cols, "heads");
        ops.scale(part_of_heads(all, head_width, first, width), 1, 0, part_of_heads(dense, width, 0, width));
        if (!is_dense) ops.scale(dense, 1, 0, part);
        first += width;
    }
}

void project_delta(const Layer& layer, const Tensor& h, const DeltaInputs& to, Ops& ops) {
    const DeltaNetConfig& c = layer.config.delta_net;
    const uint32_t k_width = c.n_k_heads * c.head_dim;
    if (layer[kDeltaIn]) {
        const ScratchScope scope(ops);
        const Tensor all = ops.scratch(h.rows, c.channels() + c.v_width(), "ssm_in");
        ops.matmul(layer[kDeltaIn], h, all);
        split_by_head(all, c.n_k_heads,
                      std::to_array<Tensor>({to.qkv.col_range(0, k_width), to.qkv.col_range(k_width, k_width),
                                             to.qkv.col_range(2 * k_width, c.v_width()), to.gate}),
                      ops);
    }
    std::vector<MatmulTerm> terms;
    if (!layer[kDeltaIn]) terms = {{layer[kDeltaQkv], {}, to.qkv}, {layer[kAttnGate], {}, to.gate}};
    if (!layer[kDeltaBa]) {
        terms.push_back({layer[kDeltaAlpha], {}, to.alpha});
        terms.push_back({layer[kDeltaBeta], {}, to.beta});
        return ops.matmul_group(terms, h);
    }
    const ScratchScope scope(ops);
    const Tensor both = ops.scratch(h.rows, 2 * c.n_v_heads, "ssm_ba");
    terms.push_back({layer[kDeltaBa], {}, both});
    ops.matmul_group(terms, h);
    split_by_head(both, c.n_k_heads, std::to_array<Tensor>({to.beta, to.alpha}), ops);
}

void delta_net(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    const ScratchScope scope(ops);
    const DeltaNetConfig& c = layer.config.delta_net;
    const StepViews& step = layer.in.step;
    const StateTables tables{step.positions, step.seqs, step.state_before, step.state_after};
    const Tensor& states = layer.in.states[layer.il];
    const uint32_t k_width = c.n_k_heads * c.head_dim, n = h.rows;
    const float eps = layer.in.config.norm_eps;

    const Tensor inputs = ops.scratch(n, c.channels(), "delta qkv"), gate = ops.scratch(n, c.v_width(), "delta gate");
    const Tensor alpha = ops.scratch(n, c.n_v_heads, "alpha"), beta = ops.scratch(n, c.n_v_heads, "beta");
    project_delta(layer, h, {inputs, gate, alpha, beta}, ops);
    const Tensor qkv = ops.scratch(n, c.channels(), "delta convolved"), y = ops.scratch(n, c.v_width(), "delta heads");
    ops.causal_conv(inputs, layer[kDeltaConv], {}, true, tables,
                    c.conv_state() > 0 ? states.col_range(0, c.conv_state()) : Tensor{}, qkv);
    ops.delta_net({qkv.col_range(0, k_width), qkv.col_range(k_width, k_width), qkv.col_range(2 * k_width, c.v_width()),
                   alpha, beta, layer[kDeltaA], layer[kDeltaDtBias]},
                  {c.n_k_heads, c.n_v_heads, c.head_dim, eps, c.grouped}, tables,
                  states.col_range(c.conv_state(), c.head_states()), y);
    if (!layer.wants_output()) return;
    ops.rms_norm_heads(y, layer[kDeltaNorm], eps, layer.config.delta_net.head_dim, y);
    ops.gated_mul(Activation::silu, gate, y, y);
    ops.matmul_add(layer[kDeltaOut], y, {}, out);
}

WeightRules gated_attention_weights() {
    WeightRules rules = join_rules({attention_weights(Need::optional, Need::optional), head_norm_weights()});
    std::erase_if(rules, [](const WeightRule& rule) { return rule.id == kAttnOutputBias; });
    for (WeightRule& rule : rules) {
        rule.fused_as = {};
        if (rule.id == kAttnQ)
            rule.dims = [](const ModelConfig& m, const LayerConfig& l) { return Dims{2ull * l.q_width(), m.n_embd}; };
        else if (rule.id == kAttnQBias)
            rule.dims = [](const ModelConfig&, const LayerConfig& l) { return Dims{2ull * l.q_width()}; };
        else
            continue;
        rule.together = Together::none;
    }
    return rules;
}

}  // namespace

Result<void> read_delta_net_layers(const KeySource& source, ModelConfig& config, bool grouped) {
    const KeyReader keys(source);
    ATLAS_TRY(DeltaNetConfig net, read_delta_net(keys));
    net.grouped = grouped;
    ATLAS_TRY_VOID(split_draft_layers(keys, config));
    ATLAS_TRY(const std::vector<uint32_t> marks, read_marks(keys, config.n_layer()));
    for (uint32_t il = 0; il < config.n_layer(); ++il) {
        if (marks[il] == 0) continue;
        config.layers[il].mixer = Mixer::delta_net;
        config.layers[il].delta_net = net;
    }
    config.attention_scale = 1 / std::sqrt(static_cast<float>(config.layers.front().head_dim));  // whatever a key says
    return {};
}

WeightRules gated_mixer_weights(const LayerConfig& layer) {
    return join_rules({layer.mixer == Mixer::delta_net ? delta_net_weights() : gated_attention_weights(),
                       {norm_weight(kAttnPostNorm)}});
}

WeightRules by_key_head(WeightRules rules) {
    constexpr auto kBoth = [](const ModelConfig& m, const LayerConfig& l) {
        return Dims{2ull * l.delta_net.n_v_heads, m.n_embd};
    };
    constexpr auto kAll = [](const ModelConfig& m, const LayerConfig& l) {
        return Dims{l.delta_net.channels() + l.delta_net.v_width(), m.n_embd};
    };
    const auto is = [](WeightId id) { return [id](const WeightRule& rule) { return rule.id == id; }; };
    if (std::none_of(rules.begin(), rules.end(), is(kDeltaQkv))) return rules;
    std::erase_if(rules, is(kDeltaAlpha));
    for (WeightRule& rule : rules) {
        if (rule.id == kDeltaQkv || rule.id == kAttnGate) rule.instead = kDeltaIn;
        if (rule.id == kDeltaBeta) rule = {kDeltaBa, Need::required, kBoth};
        if (rule.scale == Scale::folded) rule.scale = Scale::unused;
    }
    rules.push_back({kDeltaIn, Need::optional, kAll});
    return rules;
}

void gated_mixer(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    const bool recurrent = layer.config.mixer == Mixer::delta_net;
    (recurrent ? delta_net : gated_attention)(layer, h, out, ops);
}

}  // namespace atlas
