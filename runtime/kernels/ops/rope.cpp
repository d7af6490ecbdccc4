#include "shaders/push/rope.h"

#include <algorithm>

#include "runtime/kernels/ops/rope_table.h"
#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/select.h"

namespace atlas {

void VkOps::rope(const Tensor& x, const RopeParams& params, const U32View& positions, const Tensor& factors) {
    ATLAS_CHECK(params.head_dim > 0 && x.cols % params.head_dim == 0 && positions.count == x.rows,
                "rope: [{}, {}], heads of {}, {} positions", x.rows, x.cols, params.head_dim, positions.count);
    const std::vector<uint64_t> turns = rope_turns(params);
    const uint32_t n_pairs = static_cast<uint32_t>(turns.size());
    if (factors) ATLAS_CHECK_EQ(factors.cols, n_pairs);
    if (n_pairs == 0) return;
    const uint64_t turns_at = context_.pool->offset_of(std::as_bytes(std::span(turns)));
    if (context_.pool->overflowed()) return;  // record() reports it

    const bool halves = params.pairing == RopeParams::Pairing::halves;
    const uint32_t lanes = choose_element_lanes(context_.caps), n_head = x.cols / params.head_dim;
    const double elems = double(x.rows) * n_head * params.n_rot;
    const uint32_t most = std::min(max_rows(x), context_.max_groups[1]);
    for_row_parts(x.rows, most, {20 * elems, 8 * elems}, [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
        const Bound x_bound = bind(x.row_range(first, count), vk::Access::read_write);
        const Bound positions_bound = bind(u32_range(positions, first, count));
        const Bound turns_bound = bind_bytes(context_.constants, turns_at, turns.size() * 8, 8, vk::Access::read);
        const Bound factors_bound = factors ? bind(factors, vk::Access::read) : turns_bound;
        const push::RopePush push{.x_at = x_bound.at,
                                  .x_stride = x.row_stride_elems,
                                  .positions_at = positions_bound.at,
                                  .turns_at = turns_bound.at,
                                  .factors_at = factors_bound.at,
                                  .has_factors = factors ? 1u : 0u,
                                  .n_head = n_head,
                                  .head_dim = params.head_dim,
                                  .n_pairs = n_pairs,
                                  .pair_stride = halves ? 1u : 2u,
                                  .pair_distance = halves ? n_pairs : 1u,
                                  .magnitude = rope_magnitude(params)};
        dispatch(kernel_module(KernelFamily::rope), {lanes},
                 {x_bound.binding, positions_bound.binding, turns_bound.binding, factors_bound.binding}, push,
                 {groups_for(n_head * n_pairs, lanes), count, 1}, cost);
    });
}

}  // namespace atlas
