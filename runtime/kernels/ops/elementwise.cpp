#include "shaders/push/elementwise.h"

#include <algorithm>

#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/select.h"

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
    ATLAS_CHECK_EQ(gate.rows, up.rows);
    elementwise(kernel_module(activation == Activation::silu ? KernelFamily::silu_mul : KernelFamily::gelu_mul), gate,
                up, y, 10);
}

}  // namespace atlas
