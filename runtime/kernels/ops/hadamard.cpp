#include "shaders/push/hadamard.h"

#include <algorithm>
#include <bit>

#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/select.h"

namespace atlas {

void VkOps::hadamard(const Tensor& x, uint32_t block) {
    constexpr uint32_t kTile = 256;  // columns of a workgroup
    ATLAS_CHECK(std::has_single_bit(block) && block <= kTile && x.cols % block == 0,
                "hadamard: {} columns in blocks of {}", x.cols, block);
    if (block == 1) return;
    const double elems = double(x.rows) * x.cols;
    for_row_parts(x.rows, std::min(max_rows(x), context_.max_groups[1]), {2 * std::bit_width(block) * elems, 8 * elems},
                  [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
                      const Bound bound = bind(x.row_range(first, count), vk::Access::read_write);
                      const push::HadamardPush push{.cols = x.cols, .x_at = bound.at, .x_stride = x.row_stride_elems};
                      dispatch(kernel_module(KernelFamily::hadamard), {choose_element_lanes(context_.caps), block},
                               {bound.binding}, push, {groups_for(x.cols, kTile), count, 1}, cost);
                  });
}

}  // namespace atlas
