#include <algorithm>

#include "runtime/kernels/kv_cache.h"
#include "runtime/kernels/rope_table.h"
#include "runtime/kernels/select.h"
#include "runtime/kernels/vk_ops.h"
#include "shaders/push/rope_kv_write.h"

namespace atlas {

namespace {

// Of k or v per workgroup: each of 64 lanes rotates four elements, and a row of 8 heads of 128 gives work to four workgroups.
constexpr uint32_t kBlocksPerGroup = 8;

}  // namespace

void VkOps::rope_kv_write(const Tensor& q, const Tensor& k, const Tensor& v, const RopeParams& params, const U32View& positions,
                          const Tensor& factors, const KvLayer& cache, const U32View& slots) {
    if (!context_.fused || params.n_rot == 0) return Ops::rope_kv_write(q, k, v, params, positions, factors, cache, slots);
    if (cache.rotate_k || cache.rotate_v) {
        if (!can_write_turned(k, v, params.head_dim)) return Ops::rope_kv_write(q, k, v, params, positions, factors, cache, slots);
        return turned_kv_write(q, k, v, params, positions, factors, cache, slots, true);
    }
    ATLAS_CHECK(params.head_dim > 0 && q.cols % params.head_dim == 0 && k.cols % params.head_dim == 0 && positions.count == q.rows,
                "rope_kv_write: q [{}, {}], k [{}, {}], heads of {}, {} positions", q.rows, q.cols, k.rows, k.cols, params.head_dim, positions.count);
    ATLAS_CHECK(k.cols == cache.k.cols && v.cols == cache.v.cols && k.rows == q.rows && v.rows == q.rows && slots.count == q.rows,
                "rope_kv_write: q [{}, {}], k [{}, {}], v [{}, {}], cache of {} and {} columns, {} slots", q.rows, q.cols, k.rows, k.cols, v.rows,
                v.cols, cache.k.cols, cache.v.cols, slots.count);
    const std::vector<uint64_t> turns = rope_turns(params);
    const uint32_t n_pairs = static_cast<uint32_t>(turns.size()), n_head = q.cols / params.head_dim;
    if (factors) ATLAS_CHECK_EQ(factors.cols, n_pairs);
    const uint64_t turns_at = context_.pool->offset_of(std::as_bytes(std::span(turns)));
    if (context_.pool->overflowed() || !check_cache_fits(cache)) return;  // record() says so

    const bool halves = params.pairing == RopeParams::Pairing::halves;
    const uint32_t lanes = choose_element_lanes(context_.caps), blocks_per_group = std::min(kBlocksPerGroup, lanes);
    const uint32_t blocks = groups_for(std::max(k.cols, v.cols), 32);
    const bool searches = info(cache.k.format).block_elems > 1 || info(cache.v.format).block_elems > 1;
    const double q_elems = double(q.rows) * q.cols, kv_elems = double(q.rows) * (k.cols + v.cols);
    const vk::Cost cost{20 * q_elems + (searches ? 240 : 45) * kv_elems, 8 * (q_elems + kv_elems)};
    const uint32_t most = std::min({max_rows(q), max_rows(k), max_rows(v), context_.max_groups[1]});
    for_row_parts(q.rows, most, cost, [&](uint32_t first, uint32_t count, const vk::Cost& part_cost) {
        const Bound q_bound = bind(q.row_range(first, count), vk::Access::read_write);
        const Bound k_bound = bind(k.row_range(first, count), vk::Access::read), v_bound = bind(v.row_range(first, count), vk::Access::read);
        const Bound k_cache = bind_cache(cache.k, vk::Access::write), v_cache = bind_cache(cache.v, vk::Access::write);
        const Bound slots_bound = bind(u32_range(slots, first, count)), positions_bound = bind(u32_range(positions, first, count));
        const Bound turns_bound = bind_bytes(context_.constants, turns_at, turns.size() * 8, 8, vk::Access::read);
        const Bound factors_bound = factors ? bind(factors, vk::Access::read) : turns_bound;
        const push::RopeKvWritePush push{.q_at = q_bound.at,
                                         .q_stride = q.row_stride_elems,
                                         .k_at = k_bound.at,
                                         .k_stride = k.row_stride_elems,
                                         .v_at = v_bound.at,
                                         .v_stride = v.row_stride_elems,
                                         .positions_at = positions_bound.at,
                                         .turns_at = turns_bound.at,
                                         .factors_at = factors_bound.at,
                                         .has_factors = factors ? 1u : 0u,
                                         .n_head = n_head,
                                         .head_dim = params.head_dim,
                                         .n_pairs = n_pairs,
                                         .pair_stride = halves ? 1u : 2u,
                                         .pair_distance = halves ? n_pairs : 1u,
                                         .magnitude = rope_magnitude(params),
                                         .k_width = k.cols,
                                         .v_width = v.cols,
                                         .k_cache_at = k_cache.at,
                                         .k_cache_stride = cache_stride_units(cache.k),
                                         .v_cache_at = v_cache.at,
                                         .v_cache_stride = cache_stride_units(cache.v),
                                         .slots_at = slots_bound.at,
                                         .n_slots = cache.k.rows};
        dispatch(kernel_module(KernelFamily::rope_kv_write),
                 {lanes, cache_constant(cache.k.format), cache_constant(cache.v.format), blocks_per_group},
                 {q_bound.binding, k_bound.binding, v_bound.binding, k_cache.binding, v_cache.binding, slots_bound.binding,
                  positions_bound.binding, turns_bound.binding, factors_bound.binding},
                 push, {std::max(groups_for(n_head * n_pairs, lanes), groups_for(blocks, blocks_per_group)), count, 3}, part_cost);
    });
}

}  // namespace atlas
