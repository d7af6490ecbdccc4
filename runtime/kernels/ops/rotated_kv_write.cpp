#include <algorithm>

#include "runtime/kernels/kv_cache.h"
#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/select.h"

namespace atlas {

namespace {

// Rounding with feedback tries one scale per invocation, in at least this many.
constexpr uint32_t kFewestLanes = 32;
// A software device runs eight invocations at a time and switches between them at every barrier: there a workgroup of
// eight takes this many elements, of several heads. Mesa 26, SmolLM2, q8_0 with rotated keys, ms of all layers in steps
// of 1 and 32 tokens: 64 invocations for each head 3.8 and 56, for 256 elements 2.9 and 30, 32: 2.7 and 23, 16: 2.2 and
// 20, 8: 2.2 and 19; rope_kv_write, not rotated: 2.3 and 13. A card takes one head per workgroup, because a step of few
// tokens waits for its slowest invocation.
constexpr uint32_t kSoftwareLanes = 8;
constexpr uint32_t kElementsTogether = 256;

// Rotated heads, by a matrix of head_dim columns or Hadamard's; a search of scales; and 32 roundings of a block, each
// with feedback from the elements before it.
double flops_of(const Tensor& q, const Tensor& k, const Tensor& v, const KvLayer& cache, const RopeParams& params) {
    const double turned = double(k.rows) * (q.cols + k.cols), written = double(k.rows) * (k.cols + v.cols);
    double flops = params.n_rot > 0 ? turned * (20 + (cache.fitted_k ? 2.0 * params.head_dim : 16.0)) : 0.0;
    flops += 240 * written;
    if (cache.k_passes_on_errors()) flops += double(k.rows) * k.cols * (32 * 40 + params.head_dim);
    if (cache.v_passes_on_errors()) flops += double(v.rows) * v.cols * (32 * 40 + params.head_dim);
    return flops;
}

}  // namespace

bool VkOps::can_write_turned(const KvWrite& write) {
    const uint32_t head_dim = write.params.head_dim;
    if (head_dim == 0 || head_dim > kLargestRotatedHead || head_dim % 32 != 0 || write.k.cols % head_dim != 0)
        return false;
    const uint32_t n_head_kv = write.k.cols / head_dim, v_head_dim = write.v.cols / n_head_kv;
    return write.v.cols % n_head_kv == 0 && v_head_dim <= kLargestRotatedHead && v_head_dim % 32 == 0;
}

void VkOps::rotated_kv_write(const KvWrite& write) {
    const Tensor &q = write.q, &k = write.k, &v = write.v;
    const auto& params = write.params;
    const auto& cache = write.cache;
    const uint32_t head_dim = params.head_dim;
    ATLAS_CHECK(can_write_turned(write) && q.cols % k.cols == 0, "rotated_kv_write: heads of {}, q of {} columns, k {}",
                head_dim, q.cols, k.cols);
    const bool k_feedback = cache.k_passes_on_errors(), v_feedback = cache.v_passes_on_errors();
    if (k_feedback)
        ATLAS_CHECK(cache.fitted_k.feedback.cols == head_dim && cache.fitted_k.feedback.rows == k.cols,
                    "feedback of heads of {}", cache.fitted_k.feedback.cols);
    if (v_feedback)
        ATLAS_CHECK(cache.fitted_v.feedback.rows == v.cols, "feedback of {} columns of v",
                    cache.fitted_v.feedback.rows);

    const uint32_t n_head_kv = k.cols / head_dim, n_head = q.cols / head_dim, v_head_dim = v.cols / n_head_kv;
    const bool turn_keys = params.n_rot > 0 && cache.rotate_k, turn_values = params.n_rot > 0 && cache.rotate_v;
    const bool k_matrices = turn_keys && cache.fitted_k, v_matrices = turn_values && cache.fitted_v;
    const bool k_shift = turn_keys && cache.fitted_k.shift;
    const uint32_t turn_of_k = !turn_keys ? 1 : k_matrices ? 0 : hadamard_block(head_dim);
    const uint32_t turn_of_v = !turn_values ? 1 : v_matrices ? 0 : hadamard_block(v_head_dim);
    const bool alone = k_feedback || v_feedback || !runs_on_cpu(context_.caps);
    const uint32_t heads = alone ? 1 : kElementsTogether / std::max(head_dim, v_head_dim);
    const uint32_t groups = groups_for(n_head, heads) + 2 * groups_for(n_head_kv, heads);
    const uint32_t lanes = alone ? std::max(kFewestLanes, choose_element_lanes(context_.caps)) : kSoftwareLanes;
    const vk::Cost cost{flops_of(q, k, v, cache, params), 8.0 * k.rows * (q.cols + k.cols + v.cols)};
    for_kv_write_parts(write, cost, [&](BoundKvWrite bound, uint32_t count, const vk::Cost& part_cost) {
        const auto bind_matrix = [&](bool wanted, const Tensor& tensor) {
            const Bound matrix = wanted ? bind(tensor, vk::Access::read) : Bound{bound.bindings[1], bound.push.k_at};
            bound.bindings.push_back(matrix.binding);
            return matrix.at;
        };
        bound.push.turn_k_at = bind_matrix(k_matrices, cache.fitted_k.in);
        bound.push.turn_k_shift_at = bind_matrix(k_shift, cache.fitted_k.shift);
        bound.push.has_k_shift = k_shift ? 1 : 0;
        bound.push.turn_q_at = bind_matrix(k_matrices, cache.fitted_k.out);
        bound.push.turn_v_at = bind_matrix(v_matrices, cache.fitted_v.in);
        bound.push.feedback_k_at = bind_matrix(k_feedback, cache.fitted_k.feedback);
        bound.push.feedback_v_at = bind_matrix(v_feedback, cache.fitted_v.feedback);
        dispatch_bytes(kernel_module(KernelFamily::rotated_kv_write),
                       {lanes, cache_constant(cache.k.format), cache_constant(cache.v.format), turn_of_k, turn_of_v,
                        k_feedback ? 1u : 0u, v_feedback ? 1u : 0u, heads},
                       bound.bindings, std::as_bytes(std::span(&bound.push, 1)), {groups, count, 1}, part_cost);
    });
}

}  // namespace atlas
