#include "shaders/push/elementwise.h"

#include <algorithm>

#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/select.h"
#include "shaders/push/gated_mul.h"
#include "shaders/push/scale.h"

namespace atlas {

void VkOps::elementwise(const KernelModule& module, const Tensor& a, const Tensor& b, const Tensor& y,
                        double flops_per_element) {
    ATLAS_CHECK(a.cols == y.cols && b.cols == y.cols && a.rows == y.rows && (b.rows == y.rows || b.rows == 1),
                "{}: [{}, {}] and [{}, {}] to [{}, {}]", module.name, a.rows, a.cols, b.rows, b.cols, y.rows, y.cols);
    const uint32_t lanes = choose_element_lanes(context_.caps);
    const double elems = double(y.rows) * y.cols;
    const uint32_t most = std::min({max_rows(a), max_rows(b), max_rows(y), context_.max_groups[1]});
    for_row_parts(y.rows, most, {flops_per_element * elems, 12 * elems},
                  [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
                      const Tensor a_part = a.row_range(first, count), y_part = y.row_range(first, count);
                      const Tensor b_part = token_rows(b, y.rows, first, count);
                      const Bound a_bound = bind(a_part, vk::Access::read), b_bound = bind(b_part, vk::Access::read);
                      const Bound y_bound = bind(y_part, vk::Access::write);
                      const push::ElementwisePush push{.cols = y.cols,
                                                       .a_at = a_bound.at,
                                                       .a_stride = a.row_stride_elems,
                                                       .b_at = b_bound.at,
                                                       .b_stride = repeat_stride(b, y.rows),
                                                       .y_at = y_bound.at,
                                                       .y_stride = y.row_stride_elems};
                      dispatch(module, {lanes}, {a_bound.binding, b_bound.binding, y_bound.binding}, push,
                               {groups_for(y.cols, lanes), count, 1}, cost);
                  });
}

void VkOps::add(const Tensor& a, const Tensor& b, const Tensor& y) {
    elementwise(kernel_module(KernelFamily::add), a, b, y, 1);
}

void VkOps::gated_mul(Activation activation, const Tensor& gate, const Tensor& up, const Tensor& y) {
    ATLAS_CHECK(gate.cols > 0 && up.cols % gate.cols == 0 && up.cols == y.cols && up.rows == y.rows &&
                    (gate.rows == y.rows || gate.rows == 1),
                "gated_mul: [{}, {}] and [{}, {}] to [{}, {}]", gate.rows, gate.cols, up.rows, up.cols, y.rows, y.cols);
    activate_rows(activation, gate, up, y);
}

void VkOps::activate(Activation activation, const Tensor& x, const Tensor& y) {
    ATLAS_CHECK(x.cols == y.cols && x.rows == y.rows && activation != Activation::silu_clamped,
                "activate: [{}, {}] to [{}, {}]", x.rows, x.cols, y.rows, y.cols);
    activate_rows(activation, x, {}, y);
}

void VkOps::activate_rows(Activation activation, const Tensor& gate, const Tensor& up, const Tensor& y) {
    const uint32_t lanes = choose_element_lanes(context_.caps);
    const double elems = double(y.rows) * y.cols;
    const uint32_t most = std::min({max_rows(gate), max_rows(up), max_rows(y), context_.max_groups[1]});
    for_row_parts(y.rows, most, {10 * elems, 12 * elems}, [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
        const Bound gate_bound = bind(token_rows(gate, y.rows, first, count), vk::Access::read);
        const Bound up_bound = up ? bind(up.row_range(first, count), vk::Access::read) : gate_bound;
        const Bound y_bound = bind(y.row_range(first, count), vk::Access::write);
        const push::GatedMulPush push{.cols = y.cols,
                                      .gate_at = gate_bound.at,
                                      .gate_stride = repeat_stride(gate, y.rows),
                                      .gate_repeat = y.cols / gate.cols,
                                      .up_at = up_bound.at,
                                      .up_stride = up.row_stride_elems,
                                      .y_at = y_bound.at,
                                      .y_stride = y.row_stride_elems};
        dispatch(kernel_module(KernelFamily::gated_mul), {lanes, static_cast<uint32_t>(activation), up ? 1u : 0u},
                 {gate_bound.binding, up_bound.binding, y_bound.binding}, push, {groups_for(y.cols, lanes), count, 1},
                 cost);
    });
}

void VkOps::scale(const Tensor& x, float f, float cap, const Tensor& y) {
    ATLAS_CHECK(x.cols == y.cols && x.rows == y.rows, "scale: [{}, {}] to [{}, {}]", x.rows, x.cols, y.rows, y.cols);
    const uint32_t lanes = choose_element_lanes(context_.caps);
    const double elems = double(y.rows) * y.cols;
    const uint32_t most = std::min({max_rows(x), max_rows(y), context_.max_groups[1]});
    for_row_parts(x.rows, most, {8 * elems, 8 * elems}, [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
        const Bound x_bound = bind(x.row_range(first, count), vk::Access::read),
                    y_bound = bind(y.row_range(first, count), vk::Access::write);
        const push::ScalePush push{.cols = x.cols,
                                   .x_at = x_bound.at,
                                   .x_stride = x.row_stride_elems,
                                   .y_at = y_bound.at,
                                   .y_stride = y.row_stride_elems,
                                   .factor = f,
                                   .cap = cap,
                                   .positions_at = 0,
                                   .n_ctx = 0};
        dispatch(kernel_module(KernelFamily::scale), {lanes}, {x_bound.binding, y_bound.binding}, push,
                 {groups_for(x.cols, lanes), count, 1}, cost);
    });
}

void VkOps::scale_by_position(const Tensor& x, const U32View& positions, float beta, uint32_t n_ctx) {
    ATLAS_CHECK(positions.count == x.rows && n_ctx > 0, "scale_by_position: {} rows, {} positions, period {}", x.rows,
                positions.count, n_ctx);
    const uint32_t lanes = choose_element_lanes(context_.caps);
    const double elems = double(x.rows) * x.cols;
    const uint32_t most = std::min(max_rows(x), context_.max_groups[1]);
    for_row_parts(x.rows, most, {8 * elems, 8 * elems}, [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
        const Bound x_bound = bind(x.row_range(first, count), vk::Access::read_write);
        const Bound positions_bound = bind(u32_range(positions, first, count));
        const push::ScalePush push{.cols = x.cols,
                                   .x_at = x_bound.at,
                                   .x_stride = x.row_stride_elems,
                                   .y_at = x_bound.at,
                                   .y_stride = x.row_stride_elems,
                                   .factor = beta,
                                   .cap = 0,
                                   .positions_at = positions_bound.at,
                                   .n_ctx = n_ctx};
        dispatch(kernel_module(KernelFamily::scale_by_position), {lanes},
                 {x_bound.binding, x_bound.binding, positions_bound.binding}, push,
                 {groups_for(x.cols, lanes), count, 1}, cost);
    });
}

}  // namespace atlas
