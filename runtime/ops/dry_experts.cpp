#include <algorithm>

#include "runtime/ops/dry_ops.h"

namespace atlas {

namespace {

uint32_t experts_in(const ExpertMatrices& m) { return m.stride == 0 ? 0 : m.w.rows / m.stride; }

void check(const ExpertMatrices& m, uint32_t n_in) {
    ATLAS_CHECK(m.stride > 0 && m.w.rows % m.stride == 0 && uint64_t{m.first} + m.n_out <= m.stride,
                "experts: rows {}+{} of {} of {}", m.first, m.n_out, m.stride, m.w.rows);
    ATLAS_CHECK_EQ(m.w.cols, n_in);
}

}  // namespace

uint32_t expert_table_words(uint32_t n_tokens, uint32_t n_used, uint32_t n_experts, uint32_t tile_columns) {
    // Every expert may leave one tile that is not full.
    const uint32_t pairs = n_tokens * n_used;
    return kExpertTileWords * (pairs / tile_columns + std::min(n_experts, pairs)) + pairs;
}

void DryOps::route(const Tensor& logits, const Tensor& bias, const RoutingParams& params, const Tensor& routes) {
    ATLAS_CHECK(params.n_used > 0 && params.n_used <= logits.cols && routes.cols == 2 * params.n_used,
                "{} of {} experts, {} columns", params.n_used, logits.cols, routes.cols);
    ATLAS_CHECK(params.n_groups > 0 && logits.cols % params.n_groups == 0, "{} experts in {} groups", logits.cols,
                params.n_groups);
    ATLAS_CHECK_EQ(routes.rows, logits.rows);
    if (bias) ATLAS_CHECK_EQ(bias.cols, logits.cols);
    count(8.0 * logits.rows * logits.cols);
}

// Each chosen expert is read once, whatever the number of tokens: as many as there are choices, or all of them.
void DryOps::count_experts(const ExpertMatrices& m, uint32_t n_tokens, uint32_t n_used) {
    const uint64_t pairs = uint64_t{n_tokens} * n_used, chosen = std::min<uint64_t>(pairs, experts_in(m));
    counts_.weight_bytes_read += chosen * m.n_out * m.w.row_stride_bytes();
    counts_.flops += 2.0 * double(pairs) * m.n_out * m.w.cols;
}

void DryOps::experts_up(Activation, const ExpertMatrices& gate, const ExpertMatrices& up, const Tensor& x,
                        const Tensor& routes, const Tensor& y) {
    const uint32_t n_used = routes.cols / 2;
    check(up, x.cols);
    ATLAS_CHECK(y.rows == x.rows * n_used && y.cols == up.n_out, "[{}, {}] of {} tokens", y.rows, y.cols, x.rows);
    const ScratchScope scope(*this);
    if (gate) {
        check(gate, x.cols);
        ATLAS_CHECK_EQ(gate.n_out, up.n_out);
        scratch(y.rows, y.cols, "gates");  // where the two matrices cannot be one product
        count_experts(gate, x.rows, n_used);
    }
    scratch(1, expert_table_words(x.rows, n_used, experts_in(up), kFewestTileColumns), "sorted routes");
    count_experts(up, x.rows, n_used);
    count(8.0 * y.rows * y.cols);
}

void DryOps::experts_down(const ExpertMatrices& down, const Tensor& x, const Tensor& routes, const Tensor& y) {
    const uint32_t n_used = routes.cols / 2;
    check(down, x.cols);
    ATLAS_CHECK(x.rows == y.rows * n_used && y.cols == down.n_out, "[{}, {}] of {} choices", y.rows, y.cols, x.rows);
    const ScratchScope scope(*this);
    scratch(x.rows, y.cols, "weighted results");
    scratch(1, expert_table_words(y.rows, n_used, experts_in(down), kFewestTileColumns), "sorted routes");
    count_experts(down, y.rows, n_used);
    count(2.0 * x.rows * y.cols);
}

}  // namespace atlas
