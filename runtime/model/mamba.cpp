#include "runtime/model/mamba.h"

#include "runtime/model/limits.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

constexpr WeightId kIn{"ssm_in.weight"}, kConv{"ssm_conv1d.weight"}, kConvBias{"ssm_conv1d.bias"},
    kDtBias{"ssm_dt.bias"}, kA{"ssm_a"}, kD{"ssm_d"}, kNorm{"ssm_norm.weight"}, kOut{"ssm_out.weight"};

// Dense numbers of a file's matrix as one row.
Tensor as_row(Tensor matrix) {
    ATLAS_CHECK_EQ(matrix.row_stride_elems, matrix.cols);
    matrix.cols *= matrix.rows;
    matrix.rows = 1;
    matrix.row_stride_elems = matrix.cols;
    return matrix;
}

}  // namespace

Result<StateSpaceConfig> read_state_space(const KeyReader& keys) {
    StateSpaceConfig space;
    ATLAS_TRY(space.conv_width, keys.count("ssm.conv_kernel", {1, kMaxConvWidth}));
    ATLAS_TRY(space.n_state, keys.count("ssm.state_size", {1, kMaxWidth}));
    ATLAS_TRY(space.n_groups, keys.count("ssm.group_count", {1, kMaxHeads}));
    ATLAS_TRY(space.n_heads, keys.count("ssm.time_step_rank", {1, kMaxHeads}));
    ATLAS_TRY(const uint32_t width, keys.count("ssm.inner_size", {1, kMaxWidth}));
    if (space.n_state > kLargestDeltaHead) {
        return fail(ErrorCode::unsupported, "{}: supported are up to {}, found {}", keys.full("ssm.state_size"),
                    kLargestDeltaHead, space.n_state);
    }
    if (space.n_heads % space.n_groups != 0 || width % space.n_heads != 0) {
        return fail(ErrorCode::corrupt, "{}: {} heads, expected a multiple of {} groups and a divisor of the width {}",
                    keys.full("ssm.time_step_rank"), space.n_heads, space.n_groups, width);
    }
    space.head_dim = width / space.n_heads;
    const uint64_t channels = width + 2 * uint64_t{space.n_groups} * space.n_state;
    if (uint64_t{width} * space.n_state + channels * space.conv_width > kMaxStateNumbers) {
        return fail(ErrorCode::corrupt, "{}: {} channels with {} states each are more than {} numbers",
                    keys.full("ssm.inner_size"), width, space.n_state, kMaxStateNumbers);
    }
    return space;
}

WeightRules state_space_weights() {
    WeightRules rules{
        norm_weight(kAttnNorm),
        {kIn, Need::required,
         [](M m, L l) {
             return Dims{l.state_space.width() + l.state_space.channels() + l.state_space.n_heads, m.n_embd};
         },
         Scale::folded},
        {kConv, Need::required,
         [](M, L l) {
             return Dims{l.state_space.channels(), l.state_space.conv_width};
         }},
        {kConvBias, Need::usual, [](M, L l) { return Dims{l.state_space.channels()}; }},
        {kDtBias, Need::required, [](M, L l) { return Dims{l.state_space.n_heads}; }},
        {kA, Need::required,
         [](M, L l) {
             return Dims{l.state_space.n_heads, 1};
         }},
        {kD, Need::required,
         [](M, L l) {
             return Dims{l.state_space.n_heads, 1};
         }},
        {kNorm, Need::required,
         [](M, L l) {
             return Dims{l.state_space.n_groups, l.state_space.width() / l.state_space.n_groups};
         }},
        {kOut, Need::required,
         [](M m, L l) {
             return Dims{m.n_embd, l.state_space.width()};
         },
         Scale::folded}};
    for (WeightRule& rule : rules) rule.decoded = !(rule.id == kIn || rule.id == kOut);
    return rules;
}

void state_space(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    const ScratchScope scope(ops);
    const StateSpaceConfig& c = layer.config.state_space;
    const StepViews& step = layer.in.step;
    const StateTables tables{step.positions, step.seqs, step.state_before, step.state_after};
    const Tensor& states = layer.in.states[layer.il];
    const uint32_t n = h.rows, width = c.width(), of_groups = c.n_groups * c.n_state;

    const Tensor all = ops.scratch(n, width + c.channels() + c.n_heads, "ssm_in");
    const Tensor xbc = ops.scratch(n, c.channels(), "ssm convolved"), y = ops.scratch(n, width, "ssm heads");
    ops.matmul(layer[kIn], h, all);
    const Tensor z = all.col_range(0, width), dt = all.col_range(width + c.channels(), c.n_heads);
    ops.causal_conv(all.col_range(width, c.channels()), layer[kConv], layer[kConvBias], true, tables,
                    c.conv_state() > 0 ? states.col_range(0, c.conv_state()) : Tensor{}, xbc);
    ops.state_space({xbc.col_range(width, of_groups), xbc.col_range(width + of_groups, of_groups),
                     xbc.col_range(0, width), dt, as_row(layer[kA]), layer[kDtBias], as_row(layer[kD])},
                    {c.n_groups, c.n_heads, c.n_state, c.head_dim}, tables,
                    states.col_range(c.conv_state(), c.head_states()), y);
    if (!layer.wants_output()) return;
    ops.gated_mul(Activation::silu, z, y, y);
    ops.rms_norm_heads(y, {}, layer.in.config.norm_eps, width / c.n_groups, y);
    ops.gated_mul(Activation::none, as_row(layer[kNorm]), y, y);
    ops.matmul(layer[kOut], y, out);
}

void state_space_or_attention(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    (layer.config.mixer == Mixer::state_space ? state_space : self_attention)(layer, h, out, ops);
}

}  // namespace atlas
