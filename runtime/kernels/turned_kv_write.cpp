#include <algorithm>

#include "runtime/kernels/kv_cache.h"
#include "runtime/kernels/rope_table.h"
#include "runtime/kernels/select.h"
#include "runtime/kernels/vk_ops.h"
#include "shaders/push/turned_kv_write.h"

namespace atlas {

namespace {

// Rounding with feedback tries a scale in each of so many invocations.
constexpr uint32_t kFewestLanes = 32;
constexpr uint32_t kLargestHead = 256;

// n_rot floats of a head turned, dim the matrix; a search of scales; and 32 roundings of a block with all that came before it.
double flops_of(const Tensor& q, const Tensor& k, const Tensor& v, const KvLayer& cache, uint32_t head_dim, bool turn) {
    const double turned = double(k.rows) * ((q ? q.cols : 0u) + k.cols), written = double(k.rows) * (k.cols + v.cols);
    double flops = turn ? turned * (20 + (cache.fitted_k ? 2.0 * head_dim : 16.0)) : 0.0;
    flops += 240 * written;
    if (cache.k_passes_on_errors()) flops += double(k.rows) * k.cols * (32 * 40 + head_dim);
    if (cache.v_passes_on_errors()) flops += double(v.rows) * v.cols * (32 * 40 + head_dim);
    return flops;
}

void check_shapes(const Tensor& q, const Tensor& k, const Tensor& v, const KvLayer& cache, const U32View& slots, uint32_t head_dim) {
    ATLAS_CHECK(!q || q.cols % k.cols == 0, "turned_kv_write: {} columns of q, {} of k", q.cols, k.cols);
    ATLAS_CHECK(k.cols == cache.k.cols && v.cols == cache.v.cols && v.rows == k.rows && slots.count == k.rows && (!q || q.rows == k.rows),
                "turned_kv_write: k [{}, {}], v [{}, {}], cache of {} and {} columns, {} slots", k.rows, k.cols, v.rows, v.cols, cache.k.cols,
                cache.v.cols, slots.count);
    if (cache.k_passes_on_errors()) ATLAS_CHECK(cache.fitted_k.feedback.cols == head_dim && cache.fitted_k.feedback.rows == k.cols, "feedback of heads of {}", cache.fitted_k.feedback.cols);
    if (cache.v_passes_on_errors()) ATLAS_CHECK(cache.fitted_v.feedback.rows == v.cols, "feedback of {} columns of v", cache.fitted_v.feedback.rows);
}

}  // namespace

bool VkOps::can_write_turned(const Tensor& k, const Tensor& v, uint32_t head_dim) const {
    if (head_dim == 0 || head_dim > kLargestHead || head_dim % 32 != 0 || k.cols % head_dim != 0) return false;
    const uint32_t n_head_kv = k.cols / head_dim, v_head_dim = v.cols / n_head_kv;
    return v.cols % n_head_kv == 0 && v_head_dim <= kLargestHead && v_head_dim % 32 == 0;
}

void VkOps::turned_kv_write(const Tensor& q, const Tensor& k, const Tensor& v, const RopeParams& params, const U32View& positions,
                            const Tensor& factors, const KvLayer& cache, const U32View& slots, bool turn) {
    const uint32_t head_dim = params.head_dim;
    check_shapes(q, k, v, cache, slots, head_dim);
    ATLAS_CHECK(can_write_turned(k, v, head_dim), "turned_kv_write: heads of {}", head_dim);
    const bool k_feedback = cache.k_passes_on_errors(), v_feedback = cache.v_passes_on_errors();
    const std::vector<uint64_t> turns = turn ? rope_turns(params) : std::vector<uint64_t>{};
    const uint32_t n_pairs = static_cast<uint32_t>(turns.size());
    if (factors) ATLAS_CHECK_EQ(factors.cols, n_pairs);
    const uint64_t turns_at = turn ? context_.pool->offset_of(std::as_bytes(std::span(turns))) : 0;
    if (context_.pool->overflowed() || !check_cache_fits(cache)) return;  // record() says so

    const uint32_t n_head_kv = k.cols / head_dim, n_head = q ? q.cols / head_dim : 0, v_head_dim = v.cols / n_head_kv;
    const bool k_matrices = turn && cache.rotate_k && cache.fitted_k, v_matrices = turn && cache.rotate_v && cache.fitted_v;
    const bool halves = params.pairing == RopeParams::Pairing::halves;
    const uint32_t lanes = std::max(kFewestLanes, choose_element_lanes(context_.caps));
    const vk::Cost cost{flops_of(q, k, v, cache, head_dim, turn), 8.0 * k.rows * ((q ? q.cols : 0u) + k.cols + v.cols)};
    const uint32_t most = std::min({q ? max_rows(q) : UINT32_MAX, max_rows(k), max_rows(v), context_.max_groups[1]});
    for_row_parts(k.rows, most, cost, [&](uint32_t first, uint32_t count, const vk::Cost& part_cost) {
        const Bound k_bound = bind(k.row_range(first, count), vk::Access::read), v_bound = bind(v.row_range(first, count), vk::Access::read);
        const Bound q_bound = q ? bind(q.row_range(first, count), vk::Access::read_write) : k_bound;
        const Bound k_cache = bind_cache(cache.k, vk::Access::write), v_cache = bind_cache(cache.v, vk::Access::write);
        const Bound slots_bound = bind(u32_range(slots, first, count));
        const Bound positions_bound = turn ? bind(u32_range(positions, first, count)) : slots_bound;
        const Bound turns_bound = turn ? bind_bytes(context_.constants, turns_at, turns.size() * 8, 8, vk::Access::read) : slots_bound;
        const Bound factors_bound = factors ? bind(factors, vk::Access::read) : turns_bound;
        const auto matrix = [&](bool wanted, const Tensor& tensor) { return wanted ? bind(tensor, vk::Access::read) : k_bound; };
        const Bound turn_k = matrix(k_matrices, cache.fitted_k.in), turn_k_shift = matrix(k_matrices, cache.fitted_k.shift);
        const Bound turn_q = matrix(k_matrices, cache.fitted_k.out), turn_v = matrix(v_matrices, cache.fitted_v.in);
        const Bound feedback_k = matrix(k_feedback, cache.fitted_k.feedback), feedback_v = matrix(v_feedback, cache.fitted_v.feedback);
        const push::TurnedKvWritePush push{.q_at = q_bound.at,
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
                                           .n_head_kv = n_head_kv,
                                           .head_dim = head_dim,
                                           .v_head_dim = v_head_dim,
                                           .n_pairs = n_pairs,
                                           .pair_stride = halves ? 1u : 2u,
                                           .pair_distance = halves ? n_pairs : 1u,
                                           .magnitude = turn ? rope_magnitude(params) : 1.0f,
                                           .k_cache_at = k_cache.at,
                                           .k_cache_stride = cache_stride_units(cache.k),
                                           .v_cache_at = v_cache.at,
                                           .v_cache_stride = cache_stride_units(cache.v),
                                           .slots_at = slots_bound.at,
                                           .n_slots = cache.k.rows,
                                           .turn_k_at = turn_k.at,
                                           .turn_k_shift_at = turn_k_shift.at,
                                           .turn_q_at = turn_q.at,
                                           .turn_v_at = turn_v.at,
                                           .feedback_k_at = feedback_k.at,
                                           .feedback_v_at = feedback_v.at};
        const uint32_t turn_of_k = !turn || !cache.rotate_k ? 1 : k_matrices ? 0 : hadamard_block(head_dim);
        const uint32_t turn_of_v = !turn || !cache.rotate_v ? 1 : v_matrices ? 0 : hadamard_block(v_head_dim);
        dispatch(kernel_module(KernelFamily::turned_kv_write),
                 {lanes, cache_constant(cache.k.format), cache_constant(cache.v.format), turn_of_k, turn_of_v, k_feedback ? 1u : 0u, v_feedback ? 1u : 0u},
                 {q_bound.binding, k_bound.binding, v_bound.binding, k_cache.binding, v_cache.binding, slots_bound.binding, positions_bound.binding,
                  turns_bound.binding, factors_bound.binding, turn_k.binding, turn_k_shift.binding, turn_q.binding,
                  turn_v.binding, feedback_k.binding, feedback_v.binding},
                 push, {n_head + 2 * n_head_kv, count, 1}, part_cost);
    });
}

}  // namespace atlas
