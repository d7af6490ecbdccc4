#include <algorithm>

#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/select.h"
#include "shaders/push/causal_conv.h"
#include "shaders/push/delta_net.h"

namespace atlas {

bool VkOps::check_fits(const Tensor& tensor) {
    const uint32_t fit = max_rows(tensor);
    if (fit >= tensor.rows) return !plan_.error;
    if (!plan_.error) {
        plan_.error =
            Error{ErrorCode::limit,
                  fmt::format("{}: {} rows of {} numbers do not fit in a binding of this device ({} bytes); "
                              "{} would. Keep fewer states (--checkpoints)",
                              tensor.storage->name(), tensor.rows, tensor.cols, context_.max_binding_bytes, fit)};
    }
    return false;
}

// A token reads the inputs of others, so that the parts of a step share the bindings of all of it.
void VkOps::causal_conv(const Tensor& x, const Tensor& w, const Tensor& b, bool silu, const StateTables& tables,
                        const Tensor& states, const Tensor& y) {
    const uint32_t width = w.cols;
    ATLAS_CHECK(w.rows == x.cols && y.cols == x.cols && y.rows == x.rows && width > 0 &&
                    (width == 1 || states.cols == (width - 1) * x.cols) && w.format == Format::f32,
                "causal_conv: [{}, {}] by [{}, {}] {}, states of {}", x.rows, x.cols, w.rows, width,
                info(w.format).name, states.cols);
    for (const Tensor& tensor : {x, w, states, y}) {
        if (!check_fits(tensor)) return;
    }
    const Bound x_bound = bind(x, vk::Access::read), w_bound = bind(w, vk::Access::read);
    const Bound b_bound = b ? bind(b, vk::Access::read) : w_bound, y_bound = bind(y, vk::Access::write);
    const Bound states_bound = width > 1 ? bind(states, vk::Access::read_write) : y_bound;
    const Bound positions = bind(tables.positions), seqs = bind(tables.seqs), before = bind(tables.before),
                after = bind(tables.after);
    const double elems = double(x.rows) * x.cols;
    const uint32_t lanes = choose_element_lanes(context_.caps);
    for_row_parts(x.rows, context_.max_groups[1], {2 * (width + 4) * elems, 12 * elems},
                  [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
                      const push::CausalConvPush push{.n = x.cols,
                                                      .first_token = first,
                                                      .x_at = x_bound.at,
                                                      .x_stride = x.row_stride_elems,
                                                      .w_at = w_bound.at,
                                                      .w_stride = w.row_stride_elems,
                                                      .b_at = b_bound.at,
                                                      .has_b = b ? 1u : 0u,
                                                      .silu = silu ? 1u : 0u,
                                                      .states_at = states_bound.at,
                                                      .states_stride = states.row_stride_elems,
                                                      .y_at = y_bound.at,
                                                      .y_stride = y.row_stride_elems,
                                                      .positions_at = positions.at,
                                                      .seqs_at = seqs.at,
                                                      .before_at = before.at,
                                                      .after_at = after.at};
                      dispatch(kernel_module(KernelFamily::causal_conv), {lanes, width},
                               {x_bound.binding, w_bound.binding, b_bound.binding, states_bound.binding,
                                positions.binding, seqs.binding, before.binding, after.binding, y_bound.binding},
                               push, {groups_for(x.cols, lanes), count, 1}, cost);
                  });
}

void VkOps::delta_net(const DeltaNetInputs& in, const DeltaNetParams& params, const StateTables& tables,
                      const Tensor& states, const Tensor& y) {
    const uint32_t d = params.head_dim, n_heads = params.n_v_heads;
    ATLAS_CHECK(d > 0 && d <= kLargestDeltaHead && params.n_k_heads > 0 && n_heads % params.n_k_heads == 0 &&
                    in.q.cols == params.n_k_heads * d && in.k.cols == in.q.cols && in.v.cols == n_heads * d &&
                    y.cols == in.v.cols && states.cols == n_heads * d * d,
                "delta_net: {} heads of values, {} of keys, of {}", n_heads, params.n_k_heads, d);
    run_states({in, params.n_k_heads, n_heads, d, d, params.grouped, false, params.eps}, tables, states, y);
}

void VkOps::state_space(const StateSpaceInputs& in, const StateSpaceParams& params, const StateTables& tables,
                        const Tensor& states, const Tensor& y) {
    const uint32_t n = params.n_state, d = params.head_dim, n_heads = params.n_heads;
    ATLAS_CHECK(n > 0 && n <= kLargestDeltaHead && params.n_groups > 0 && n_heads % params.n_groups == 0 &&
                    in.b.cols == params.n_groups * n && in.c.cols == in.b.cols && in.x.cols == n_heads * d &&
                    y.cols == in.x.cols && states.cols == n_heads * n * d,
                "state_space: {} heads of {}, {} groups of {}", n_heads, d, params.n_groups, n);
    run_states({{in.c, in.b, in.x, in.dt, in.d, in.a, in.dt_bias}, params.n_groups, n_heads, n, d, true, true, 0},
               tables, states, y);
}

// Tokens follow each other inside a workgroup; a step that costs too much for one submission is cut between heads.
void VkOps::run_states(const StateHeads& heads, const StateTables& tables, const Tensor& states, const Tensor& y) {
    const DeltaNetInputs& in = heads.in;
    for (const Tensor& tensor : {in.q, in.k, in.v, in.alpha, in.beta, states, y}) {
        if (!check_fits(tensor)) return;
    }
    const auto read = [this](const Tensor& tensor) { return bind(tensor, vk::Access::read); };
    const Bound q = read(in.q), k = read(in.k), v = read(in.v), alpha = read(in.alpha), beta = read(in.beta),
                a = read(in.a), dt_bias = read(in.dt_bias);
    const Bound states_bound = bind(states, vk::Access::read_write), y_bound = bind(y, vk::Access::write);
    const Bound positions = bind(tables.positions), seqs = bind(tables.seqs), before = bind(tables.before),
                after = bind(tables.after);
    const DeltaNetLanes lanes = choose_delta_net_lanes(context_.caps, heads.n_rows);
    const uint32_t n_sequences = std::min(tables.before.count, y.rows);
    const double elems = double(heads.n_heads) * heads.n_rows * heads.n_cols;
    for_row_parts(heads.n_heads, context_.max_groups[1], {8 * elems * y.rows, 8 * elems * n_sequences},
                  [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
                      const push::DeltaNetPush push{.n_tokens = y.rows,
                                                    .first_head = first,
                                                    .n_k_heads = heads.n_k_heads,
                                                    .heads_per_key = heads.n_heads / heads.n_k_heads,
                                                    .grouped = heads.grouped ? 1u : 0u,
                                                    .eps = heads.eps,
                                                    .q_at = q.at,
                                                    .q_stride = in.q.row_stride_elems,
                                                    .k_at = k.at,
                                                    .k_stride = in.k.row_stride_elems,
                                                    .v_at = v.at,
                                                    .v_stride = in.v.row_stride_elems,
                                                    .alpha_at = alpha.at,
                                                    .alpha_stride = in.alpha.row_stride_elems,
                                                    .beta_at = beta.at,
                                                    .beta_stride = in.beta.row_stride_elems,
                                                    .a_at = a.at,
                                                    .dt_bias_at = dt_bias.at,
                                                    .states_at = states_bound.at,
                                                    .states_stride = states.row_stride_elems,
                                                    .y_at = y_bound.at,
                                                    .y_stride = y.row_stride_elems,
                                                    .positions_at = positions.at,
                                                    .seqs_at = seqs.at,
                                                    .before_at = before.at,
                                                    .after_at = after.at};
                      dispatch(kernel_module(KernelFamily::delta_net),
                               {lanes.columns * lanes.parts, heads.n_rows, lanes.parts, lanes.columns, heads.n_cols,
                                heads.linear ? 1u : 0u},
                               {q.binding, k.binding, v.binding, alpha.binding, beta.binding, a.binding,
                                dt_bias.binding, states_bound.binding, positions.binding, seqs.binding, before.binding,
                                after.binding, y_bound.binding},
                               push, {groups_for(heads.n_cols, lanes.columns), count, n_sequences}, cost);
                  });
}

}  // namespace atlas
