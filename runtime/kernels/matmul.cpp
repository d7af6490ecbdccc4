#include <algorithm>

#include "runtime/kernels/matmul_variant.h"
#include "runtime/kernels/vk_ops.h"
#include "shaders/push/matmul.h"

namespace atlas {

void VkOps::matmul(const Tensor& w, const Tensor& x, const Tensor& y) { matmul_rows(w, x, Tensor{}, y); }

void VkOps::matmul_add(const Tensor& w, const Tensor& x, const Tensor& b, const Tensor& y) {
    if (!context_.fused) return Ops::matmul_add(w, x, b, y);
    matmul_rows(w, x, b, y);
}

void VkOps::matmul_rows(const Tensor& w, const Tensor& x, const Tensor& b, const Tensor& y) {
    ATLAS_CHECK(w.cols == x.cols && w.rows == y.cols && x.rows == y.rows, "matmul: w [{}, {}], x [{}, {}], y [{}, {}]", w.rows, w.cols,
                x.rows, x.cols, y.rows, y.cols);
    if (b) {
        ATLAS_CHECK(b.cols == y.cols && (b.rows == y.rows || b.rows == 1), "matmul_add: b [{}, {}], y [{}, {}]", b.rows, b.cols, y.rows,
                    y.cols);
    }
    const double n_tokens = x.rows, weights = double(w.rows) * w.cols;
    const vk::Cost whole{2 * n_tokens * weights, double(w.rows) * double(w.row_stride_bytes()) + 4 * n_tokens * (w.rows + w.cols)};
    // First by tokens, only as far as the activations' bindings ask for it; then by rows of w, which reads every weight once.
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

void VkOps::matmul_part(const Tensor& w, const Tensor& x, const Tensor& b, const Tensor& y, bool repeat_b, const vk::Cost& cost) {
    const MatmulVariant variant = choose_matmul(context_.caps, context_.choices, {w.format, w.rows, w.cols, x.rows});
    if (variant.x == XKind::q8) return matmul_part_q8(variant, w, x, b, y, repeat_b, cost);
    const Bound w_bound = bind(w, vk::Access::read), x_bound = bind(x, vk::Access::read), y_bound = bind(y, vk::Access::write);
    const Bound b_bound = b ? bind(b, vk::Access::read) : x_bound;
    const push::MatmulPush push{.n_out = w.rows,
                                .n_in = w.cols,
                                .n_tokens = x.rows,
                                .w_at_blocks = w_bound.at,
                                .w_stride_blocks = w.row_stride_elems / info(w.format).block_elems,
                                .x_at = x_bound.at,
                                .x_stride = x.row_stride_elems,
                                .y_at = y_bound.at,
                                .y_stride = y.row_stride_elems,
                                .has_b = b ? 1u : 0u,
                                .b_at = b_bound.at,
                                .b_stride = repeat_b ? 0u : b.row_stride_elems};
    ATLAS_CHECK(variant.split_k == 1, "{}: nobody prepares what it needs", variant.name());
    dispatch(kernel_module(variant.family, w.format), variant.constants,
             {w_bound.binding, x_bound.binding, b_bound.binding, y_bound.binding}, push,
             {groups_for(w.rows, variant.tile_out), groups_for(x.rows, variant.tile_tokens), 1}, cost, variant.subgroup_size);
}

}  // namespace atlas
