#include <algorithm>

#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/select.h"
#include "shaders/push/layer_norm.h"
#include "shaders/push/rms_norm.h"

namespace atlas {

void VkOps::rms_norm(const Tensor& x, const Tensor& gain, float eps, const Tensor& y) {
    ATLAS_CHECK(x.rows == y.rows && x.cols == y.cols && (!gain || gain.cols == x.cols),
                "rms_norm: [{}, {}] by [{}] to [{}, {}]", x.rows, x.cols, gain.cols, y.rows, y.cols);
    norm_rows(x, gain, eps, y, 1);
}

void VkOps::rms_norm_heads(const Tensor& x, const Tensor& gain, float eps, uint32_t head_dim, const Tensor& y) {
    if (!context_.fused) return Ops::rms_norm_heads(x, gain, eps, head_dim, y);
    ATLAS_CHECK(head_dim > 0 && x.cols % head_dim == 0 && y.cols == x.cols && y.rows == x.rows &&
                    (!gain || gain.cols == head_dim),
                "rms_norm_heads: [{}, {}] to [{}, {}] in heads of {}", x.rows, x.cols, y.rows, y.cols, head_dim);
    norm_rows(x, gain, eps, y, x.cols / head_dim);
}

void VkOps::norm_rows(const Tensor& x, const Tensor& gain, float eps, const Tensor& y, uint32_t n_head) {
    const double elems = double(x.rows) * x.cols;
    const uint32_t most = std::min({max_rows(x), max_rows(y), context_.max_groups[0]});
    for_row_parts(x.rows, most, {4 * elems, 12 * elems}, [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
        const Bound x_bound = bind(x.row_range(first, count), vk::Access::read);
        const Bound gain_bound = gain ? bind(gain, vk::Access::read) : x_bound;
        const Bound y_bound = bind(y.row_range(first, count), vk::Access::write);
        push::RmsNormPush push{};
        push.cols = x.cols / n_head;
        push.x_at = x_bound.at;
        push.x_stride = x.row_stride_elems;
        push.gain_at = gain_bound.at;
        push.y_at = y_bound.at;
        push.y_stride = y.row_stride_elems;
        push.eps = eps;
        dispatch(kernel_module(KernelFamily::rms_norm),
                 {choose_row_lanes(context_.caps, x.cols / n_head), gain ? 1u : 0u},
                 {x_bound.binding, gain_bound.binding, y_bound.binding}, push, {count, n_head, 1}, cost);
    });
}

void VkOps::layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, float eps, const Tensor& y) {
    ATLAS_CHECK(x.rows == y.rows && x.cols == y.cols && uint64_t{gain.rows} * gain.cols == x.cols &&
                    (!bias || (gain.rows == 1 && bias.cols == x.cols)),
                "layer_norm: [{}, {}] by [{}, {}] and [{}] to [{}, {}]", x.rows, x.cols, gain.rows, gain.cols,
                bias.cols, y.rows, y.cols);
    const double elems = double(x.rows) * x.cols;
    const uint32_t most = std::min({max_rows(x), max_rows(y), context_.max_groups[0]});
    for_row_parts(x.rows, most, {7 * elems, 16 * elems}, [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
        const Bound x_bound = bind(x.row_range(first, count), vk::Access::read);
        const Bound gain_bound = bind(gain, vk::Access::read);
        const Bound bias_bound = bias ? bind(bias, vk::Access::read) : gain_bound;
        const Bound y_bound = bind(y.row_range(first, count), vk::Access::write);
        const push::LayerNormPush push{.cols = gain.cols,
                                       .x_at = x_bound.at,
                                       .x_stride = x.row_stride_elems,
                                       .gain_at = gain_bound.at,
                                       .gain_stride = gain.row_stride_elems,
                                       .bias_at = bias_bound.at,
                                       .y_at = y_bound.at,
                                       .y_stride = y.row_stride_elems,
                                       .has_bias = bias ? 1u : 0u,
                                       .eps = eps};
        dispatch(kernel_module(KernelFamily::layer_norm), {choose_row_lanes(context_.caps, gain.cols)},
                 {x_bound.binding, gain_bound.binding, bias_bound.binding, y_bound.binding}, push,
                 {count, gain.rows, 1}, cost);
    });
}

void VkOps::add_rms_norm(const Tensor& a, const Tensor& b, const Tensor& gain, float eps, const Tensor& sum,
                         const Tensor& y) {
    if (!context_.fused) return Ops::add_rms_norm(a, b, gain, eps, sum, y);
    ATLAS_CHECK(a.rows == y.rows && a.cols == y.cols && gain.cols == a.cols && sum.rows == a.rows && sum.cols == a.cols,
                "add_rms_norm: [{}, {}] by [{}] to [{}, {}]", a.rows, a.cols, gain.cols, y.rows, y.cols);
    ATLAS_CHECK(b.cols == a.cols && (b.rows == a.rows || b.rows == 1), "add_rms_norm: b [{}, {}]", b.rows, b.cols);
    const double elems = double(a.rows) * a.cols;
    const uint32_t most = std::min({max_rows(a), max_rows(b), max_rows(sum), max_rows(y), context_.max_groups[0]});
    for_row_parts(a.rows, most, {5 * elems, 20 * elems}, [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
        const Tensor b_part = token_rows(b, a.rows, first, count);
        const Bound a_bound = bind(a.row_range(first, count), vk::Access::read),
                    b_bound = bind(b_part, vk::Access::read);
        const Bound gain_bound = bind(gain, vk::Access::read),
                    y_bound = bind(y.row_range(first, count), vk::Access::write);
        const Bound sum_bound = bind(sum.row_range(first, count), vk::Access::read_write);
        const push::RmsNormPush push{.cols = a.cols,
                                     .x_at = a_bound.at,
                                     .x_stride = a.row_stride_elems,
                                     .gain_at = gain_bound.at,
                                     .y_at = y_bound.at,
                                     .y_stride = y.row_stride_elems,
                                     .eps = eps,
                                     .b_at = b_bound.at,
                                     .b_stride = repeat_stride(b, a.rows),
                                     .sum_at = sum_bound.at,
                                     .sum_stride = sum.row_stride_elems};
        dispatch(kernel_module(KernelFamily::add_rms_norm), {choose_row_lanes(context_.caps, a.cols), 1},
                 {a_bound.binding, gain_bound.binding, y_bound.binding, b_bound.binding, sum_bound.binding}, push,
                 {count, 1, 1}, cost);
    });
}

}  // namespace atlas
