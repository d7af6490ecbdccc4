#include "shaders/push/rotate_heads.h"

#include <algorithm>

#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/select.h"

namespace atlas {

void VkOps::rotate_heads(const Tensor& x, const Tensor& w, const Tensor& shift) {
    ATLAS_CHECK(w.cols > 0 && w.cols <= kLargestRotatedHead && w.rows % w.cols == 0 && x.cols % w.rows == 0 &&
                    w.row_stride_elems == w.cols,
                "rotate_heads: {} columns, matrices [{}, {}] with rows {} apart", x.cols, w.rows, w.cols,
                w.row_stride_elems);
    if (shift) ATLAS_CHECK_EQ(shift.cols, w.rows);
    const double elems = double(x.rows) * x.cols;
    for_row_parts(
        x.rows, std::min(max_rows(x), context_.max_groups[1]), {2 * w.cols * elems, 8 * elems},
        [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
            const Bound bound = bind(x.row_range(first, count), vk::Access::read_write);
            const Bound matrices = bind(w, vk::Access::read), shifts = shift ? bind(shift, vk::Access::read) : matrices;
            const push::TurnHeadsPush push{.x_at = bound.at,
                                           .x_stride = x.row_stride_elems,
                                           .w_at = matrices.at,
                                           .shift_at = shifts.at,
                                           .has_shift = shift ? 1u : 0u,
                                           .head_dim = w.cols,
                                           .heads_per_group = x.cols / w.rows};
            dispatch(kernel_module(KernelFamily::rotate_heads), {choose_element_lanes(context_.caps)},
                     {bound.binding, matrices.binding, shifts.binding}, push, {x.cols / w.cols, count, 1}, cost);
        });
}

}  // namespace atlas
