#include <algorithm>

#include "runtime/kernels/kv_cache.h"
#include "runtime/kernels/ops/rope_table.h"
#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/select.h"

namespace atlas {

namespace {

// Of k or v per workgroup: each of 64 lanes rotates four elements, and a row of 8 heads of 128 gives work to four
// workgroups.
constexpr uint32_t kBlocksPerGroup = 8;

}  // namespace

void VkOps::for_kv_write_parts(const KvWrite& write, const vk::Cost& cost,
                               const std::function<void(BoundKvWrite, uint32_t, const vk::Cost&)>& part) {
    // References, no structured binding: Clang 15 does not capture one.
    const Tensor &q = write.q, &k = write.k, &v = write.v, &factors = write.factors;
    const auto& params = write.params;
    const auto &positions = write.positions, &slots = write.slots;
    const auto& cache = write.cache;
    const bool has_rope = params.n_rot > 0, halves = params.pairing == RopeParams::Pairing::halves;
    ATLAS_CHECK(params.head_dim > 0 && q.cols % params.head_dim == 0 && k.cols % params.head_dim == 0 &&
                    (!q || q.rows == k.rows) && bool(q) == has_rope,
                "rope_kv_write: q [{}, {}], k [{}, {}], heads of {}", q.rows, q.cols, k.rows, k.cols, params.head_dim);
    ATLAS_CHECK(k.cols == cache.k.cols && v.cols == cache.v.cols && v.rows == k.rows && slots.count == k.rows &&
                    (!has_rope || positions.count == k.rows),
                "rope_kv_write: k [{}, {}], v [{}, {}], cache of {} and {} columns, {} slots, {} positions", k.rows,
                k.cols, v.rows, v.cols, cache.k.cols, cache.v.cols, slots.count, positions.count);
    const std::vector<uint64_t> turns = has_rope ? rope_turns(params) : std::vector<uint64_t>{};
    const uint32_t n_pairs = static_cast<uint32_t>(turns.size());
    if (factors) ATLAS_CHECK_EQ(factors.cols, n_pairs);
    const uint64_t turns_at = has_rope ? context_.pool->offset_of(std::as_bytes(std::span(turns))) : 0;
    if (context_.pool->overflowed() || !check_cache_fits(cache)) return;  // record() reports it

    const uint32_t most = std::min({q ? max_rows(q) : UINT32_MAX, max_rows(k), max_rows(v), context_.max_groups[1]});
    for_row_parts(k.rows, most, cost, [&](uint32_t first, uint32_t count, const vk::Cost& part_cost) {
        const Bound k_bound = bind(k.row_range(first, count), vk::Access::read),
                    v_bound = bind(v.row_range(first, count), vk::Access::read);
        const Bound q_bound = q ? bind(q.row_range(first, count), vk::Access::read_write) : k_bound;
        const Bound k_cache = bind_cache(cache.k, vk::Access::write), v_cache = bind_cache(cache.v, vk::Access::write);
        const Bound slots_bound = bind(u32_range(slots, first, count));
        const Bound positions_bound = has_rope ? bind(u32_range(positions, first, count)) : slots_bound;
        const Bound turns_bound =
            has_rope ? bind_bytes(context_.constants, turns_at, turns.size() * 8, 8, vk::Access::read) : slots_bound;
        const Bound factors_bound = factors ? bind(factors, vk::Access::read) : turns_bound;
        part({.bindings = {q_bound.binding, k_bound.binding, v_bound.binding, k_cache.binding, v_cache.binding,
                           slots_bound.binding, positions_bound.binding, turns_bound.binding, factors_bound.binding},
              .push = {.q_at = q_bound.at,
                       .q_stride = q.row_stride_elems,
                       .k_at = k_bound.at,
                       .k_stride = k.row_stride_elems,
                       .v_at = v_bound.at,
                       .v_stride = v.row_stride_elems,
                       .positions_at = positions_bound.at,
                       .turns_at = turns_bound.at,
                       .factors_at = factors_bound.at,
                       .has_factors = factors ? 1u : 0u,
                       .n_head = q.cols / params.head_dim,
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
                       .n_slots = cache.k.rows,
                       .turn_k_at = 0,
                       .turn_k_shift_at = 0,
                       .turn_q_at = 0,
                       .turn_v_at = 0,
                       .feedback_k_at = 0,
                       .feedback_v_at = 0,
                       .has_k_shift = 0}},
             count, part_cost);
    });
}

void VkOps::rope_kv_write(const Tensor& q, const Tensor& k, const Tensor& v, const RopeParams& params,
                          const U32View& positions, const Tensor& factors, const KvLayer& cache, const U32View& slots) {
    const KvWrite write{q, k, v, params, positions, factors, cache, slots};
    const bool is_turned = cache.rotate_k || cache.rotate_v;
    if (!context_.fused || params.n_rot == 0 || (is_turned && !can_write_turned(write))) {
        return Ops::rope_kv_write(q, k, v, params, positions, factors, cache, slots);
    }
    if (is_turned) return rotated_kv_write(write);
    const uint32_t lanes = choose_element_lanes(context_.caps), blocks_per_group = std::min(kBlocksPerGroup, lanes);
    const uint32_t blocks = groups_for(std::max(k.cols, v.cols), 32);
    const bool searches = info(cache.k.format).block_elems > 1 || info(cache.v.format).block_elems > 1;
    const double q_elems = double(q.rows) * q.cols, kv_elems = double(q.rows) * (k.cols + v.cols);
    const vk::Cost cost{20 * q_elems + (searches ? 240 : 45) * kv_elems, 8 * (q_elems + kv_elems)};
    for_kv_write_parts(write, cost, [&](const BoundKvWrite& bound, uint32_t count, const vk::Cost& part_cost) {
        dispatch_bytes(
            kernel_module(KernelFamily::rope_kv_write),
            {lanes, cache_constant(cache.k.format), cache_constant(cache.v.format), blocks_per_group}, bound.bindings,
            std::as_bytes(std::span(&bound.push, 1)),
            {std::max(groups_for(bound.push.n_head * bound.push.n_pairs, lanes), groups_for(blocks, blocks_per_group)),
             count, 3},
            part_cost);
    });
}

}  // namespace atlas
