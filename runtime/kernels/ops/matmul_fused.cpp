// Several matrices that read the same activations, in one dispatch where they lie side by side
// (runtime/model/weight_places.h).
#include <algorithm>
#include <optional>

#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/matmul_variant.h"
#include "shaders/push/matmul.h"

namespace atlas {

namespace {

/// Both products as one, or nothing.
std::optional<MatmulTerm> joined(const MatmulTerm& first, const MatmulTerm& next) {
    const MatmulTerm both{joined_rows(first.w, next.w), first.b ? joined_cols(first.b, next.b) : Tensor{},
                          joined_cols(first.y, next.y)};
    const bool biases = bool(first.b) == bool(next.b) && bool(first.b) == bool(both.b);
    if (!both.w || !both.y || !biases) return {};
    return both;
}

}  // namespace

void VkOps::matmul_group(std::span<const MatmulTerm> terms, const Tensor& x) {
    if (!context_.fused) return Ops::matmul_group(terms, x);
    for (size_t i = 0; i < terms.size();) {
        MatmulTerm all = terms[i++];
        for (; i < terms.size(); ++i) {
            const auto more = joined(all, terms[i]);
            if (!more) break;
            all = *more;
        }
        matmul_add(all.w, x, all.b, all.y);
    }
}

void VkOps::matmul_gated(Activation activation, const MatmulTerm& gate, const MatmulTerm& up, const Tensor& x,
                         const Tensor& y) {
    const auto one_after_the_other = [&] { Ops::matmul_gated(activation, gate, up, x, y); };
    const Tensor both = joined_rows(gate.w, up.w);
    const uint32_t n_ff = gate.w.rows;
    if (!context_.fused || activation != Activation::silu || !both || gate.b || up.b || up.w.rows != n_ff)
        return one_after_the_other();
    ATLAS_CHECK(both.cols == x.cols && n_ff == y.cols && x.rows == y.rows,
                "matmul_gated: gate [{}, {}], x [{}, {}], y [{}, {}]", n_ff, both.cols, x.rows, x.cols, y.rows, y.cols);
    const uint32_t most_rows = max_rows(both);
    if (most_rows <= n_ff || max_rows(x) < x.rows || max_rows(y) < y.rows) return one_after_the_other();
    const Bound x_bound = bind(x, vk::Access::read);
    const bool wide_x = x_bound.at % 4 == 0 && x.row_stride_elems % 4 == 0 && x.cols % 4 == 0;
    const auto variant =
        choose_gated(context_.caps, context_.choices, {both.format, n_ff, both.cols, x.rows, both.layout, wide_x});
    if (!variant) return one_after_the_other();
    const double n_tokens = x.rows, weights = double(both.rows) * both.cols;
    const vk::Cost cost{2 * n_tokens * weights,
                        double(both.rows) * double(both.row_stride_bytes()) + 4 * n_tokens * (n_ff + both.cols)};
    for_row_parts(n_ff, std::min(most_rows - n_ff, context_.max_groups[0]), cost,
                  [&](uint32_t first, uint32_t count, const vk::Cost& part) {
                      const Bound w_bound = bind(both.row_range(first, n_ff + count), vk::Access::read);
                      const Bound y_bound = bind(y.col_range(first, count), vk::Access::write);
                      const push::MatmulPush push{
                          .n_out = count,
                          .n_in = both.cols,
                          .n_tokens = x.rows,
                          .w_at_blocks = w_bound.at,
                          .w_stride_blocks = both.row_stride_elems / info(both.format).block_elems,
                          .x_at = x_bound.at,
                          .x_stride = x.row_stride_elems,
                          .y_at = y_bound.at,
                          .y_stride = y.row_stride_elems,
                          .has_b = 0,
                          .b_at = 0,
                          .b_stride = 0,
                          .up_rows = n_ff,
                          .split_columns = both.cols};
                      dispatch(kernel_module(variant->family, both.format, both.layout), variant->constants,
                               {w_bound.binding, x_bound.binding, x_bound.binding, y_bound.binding}, push,
                               {groups_for(count, variant->tile_out), 1, 1}, part, variant->subgroup_size);
                  });
}

}  // namespace atlas
