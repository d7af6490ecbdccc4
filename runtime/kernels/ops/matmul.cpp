#include "shaders/push/matmul.h"

#include <algorithm>

#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/matmul_variant.h"
#include "runtime/kernels/select/select.h"
#include "runtime/ops/dry_ops.h"
#include "shaders/push/half_x.h"
#include "shaders/push/sum_splits.h"

namespace atlas {

namespace {

/// Halves per unit that kernels address activations of XKind::f16 in: 16 bytes.
constexpr uint32_t kHalfXUnit = 8;

}  // namespace

void VkOps::matmul(const Tensor& w, const Tensor& x, const Tensor& y) { matmul_rows(w, x, Tensor{}, y); }

void VkOps::matmul_add(const Tensor& w, const Tensor& x, const Tensor& b, const Tensor& y) {
    if (!context_.fused) return Ops::matmul_add(w, x, b, y);
    matmul_rows(w, x, b, y);
}

void VkOps::matmul_rows(const Tensor& w, const Tensor& x, const Tensor& b, const Tensor& y) {
    ATLAS_CHECK(w.cols == x.cols && w.rows == y.cols && x.rows == y.rows, "matmul: w [{}, {}], x [{}, {}], y [{}, {}]",
                w.rows, w.cols, x.rows, x.cols, y.rows, y.cols);
    if (b) {
        ATLAS_CHECK(b.cols == y.cols && (b.rows == y.rows || b.rows == 1), "matmul_add: b [{}, {}], y [{}, {}]", b.rows,
                    b.cols, y.rows, y.cols);
    }
    const double n_tokens = x.rows, weights = double(w.rows) * w.cols;
    const vk::Cost whole{2 * n_tokens * weights,
                         double(w.rows) * double(w.row_stride_bytes()) + 4 * n_tokens * (w.rows + w.cols)};
    // First by tokens, only as far as the activations' bindings ask for it; then by rows of w, which reads every weight
    // once.
    const uint32_t most_tokens = std::min({max_rows(x), max_rows(y), max_rows(b), x.rows, context_.max_groups[1]});
    const uint32_t most_rows = std::min(max_rows(w), context_.max_groups[0]);
    for (uint32_t first = 0; first < x.rows; first += most_tokens) {
        const uint32_t count = std::min(most_tokens, x.rows - first);
        const Tensor x_part = x.row_range(first, count), y_part = y.row_range(first, count);
        const Tensor b_part = token_rows(b, x.rows, first, count);
        const double share = count / n_tokens;
        for_row_parts(w.rows, most_rows, {whole.flops * share, whole.bytes * share},
                      [&](uint32_t row, uint32_t n_rows, const vk::Cost& cost) {
                          matmul_part(w.row_range(row, n_rows), x_part, b ? b_part.col_range(row, n_rows) : b_part,
                                      y_part.col_range(row, n_rows), b.rows == 1 && x.rows > 1, cost);
                      });
    }
}

void VkOps::matmul_part(const Tensor& w, const Tensor& x, const Tensor& b, const Tensor& y, bool repeat_b,
                        const vk::Cost& cost) {
    const Bound x_bound = bind(x, vk::Access::read);
    const bool wide_x = x_bound.at % 4 == 0 && x.row_stride_elems % 4 == 0 && x.cols % 4 == 0;
    const MatmulVariant variant =
        choose_matmul(context_.caps, context_.choices, {w.format, w.rows, w.cols, x.rows, w.layout, wide_x});
    if (variant.x == XKind::q8) return matmul_part_q8(variant, w, x, b, y, repeat_b, cost);
    const ScratchScope scope(*this);
    const Tensor ready = variant.x == XKind::f16 ? halve_x(x) : x;
    const uint32_t splits = variant.split_k;
    const Tensor out = splits > 1 ? scratch(splits * x.rows, w.rows, "partial sums") : y;
    const bool add_b = b && splits == 1;
    const Bound w_bound = bind(w, vk::Access::read), ready_bound = bind(ready, vk::Access::read),
                y_bound = bind(out, vk::Access::write);
    const Bound b_bound = add_b ? bind(b, vk::Access::read) : ready_bound;
    const uint32_t x_unit = variant.x == XKind::f32 ? 1 : kHalfXUnit;
    const push::MatmulPush push{.n_out = w.rows,
                                .n_in = w.cols,
                                .n_tokens = x.rows,
                                .w_at_blocks = w_bound.at,
                                .w_stride_blocks = w.row_stride_elems / info(w.format).block_elems,
                                .x_at = ready_bound.at / x_unit,
                                .x_stride = ready.row_stride_elems / x_unit,
                                .y_at = y_bound.at,
                                .y_stride = out.row_stride_elems,
                                .has_b = add_b ? 1u : 0u,
                                .b_at = b_bound.at,
                                .b_stride = repeat_b ? 0u : b.row_stride_elems,
                                .up_rows = 0,
                                .split_columns = splits > 1 ? split_columns(w.cols, splits) : w.cols};
    dispatch(kernel_module(variant.family, w.format, w.layout), variant.constants,
             {w_bound.binding, ready_bound.binding, b_bound.binding, y_bound.binding}, push,
             {groups_for(w.rows, variant.tile_out), groups_for(x.rows, variant.tile_tokens), splits}, cost,
             variant.subgroup_size);
    if (splits > 1) sum_splits(out, splits, b, y, repeat_b);
}

Tensor VkOps::halve_x(const Tensor& x) {
    const uint32_t cols = half_x_cols(x.cols);
    Tensor halves = scratch(x.rows, cols / 2, "x in halves");
    halves.format = Format::f16;
    halves.cols = halves.row_stride_elems = cols;
    if (is_prepared(x, halves)) return halves;
    const Bound x_bound = bind(x, vk::Access::read), h_bound = bind(halves, vk::Access::write);
    const push::HalfXPush push{.n_in = x.cols,
                               .x_at = x_bound.at,
                               .x_stride = x.row_stride_elems,
                               .h_at = h_bound.at / kHalfXUnit,
                               .h_stride = cols / kHalfXUnit};
    const double elems = double(x.rows) * x.cols;
    dispatch(kernel_module(KernelFamily::half_x), {choose_row_lanes(context_.caps, x.cols)},
             {x_bound.binding, h_bound.binding}, push, {x.rows, 1, 1}, {4 * elems, 10 * elems});
    prepared_x_ = {x, halves, x_bound.binding.range, h_bound.binding.range};
    return halves;
}

void VkOps::sum_splits(const Tensor& parts, uint32_t n_splits, const Tensor& b, const Tensor& y, bool repeat_b) {
    const Bound part_bound = bind(parts, vk::Access::read), y_bound = bind(y, vk::Access::write);
    const Bound b_bound = b ? bind(b, vk::Access::read) : part_bound;
    const push::SumSplitsPush push{.n_splits = n_splits,
                                   .n_tokens = y.rows,
                                   .n_out = y.cols,
                                   .part_at = part_bound.at,
                                   .y_at = y_bound.at,
                                   .y_stride = y.row_stride_elems,
                                   .has_b = b ? 1u : 0u,
                                   .b_at = b_bound.at,
                                   .b_stride = repeat_b ? 0u : b.row_stride_elems};
    const uint32_t lanes = choose_element_lanes(context_.caps);
    const double elems = double(y.rows) * y.cols;
    dispatch(kernel_module(KernelFamily::sum_splits), {lanes}, {part_bound.binding, b_bound.binding, y_bound.binding},
             push, {groups_for(y.cols, lanes), y.rows, 1}, {n_splits * elems, 4 * (n_splits + 2) * elems});
}

}  // namespace atlas
