#include <algorithm>

#include "runtime/kernels/select.h"
#include "runtime/kernels/vk_ops.h"
#include "shaders/push/kv_write.h"

namespace atlas {

void VkOps::kv_write(const Tensor& k, const Tensor& v, const KvLayer& cache, const U32View& slots) {
    ATLAS_CHECK(k.cols == cache.k.cols && v.cols == cache.v.cols && k.cols == v.cols && k.rows == v.rows && slots.count == k.rows,
                "kv_write: k [{}, {}], v [{}, {}], cache of {} and {} columns, {} slots", k.rows, k.cols, v.rows, v.cols, cache.k.cols,
                cache.v.cols, slots.count);
    ATLAS_CHECK(cache.k.format == cache.v.format && cache.k.rows == cache.v.rows, "kv_write: a {} and a {} cache",
                info(cache.k.format).name, info(cache.v.format).name);
    if (!check_cache_fits(cache)) return;
    const uint32_t lanes = choose_element_lanes(context_.caps);
    const double elems = double(k.rows) * k.cols;
    const uint32_t most = std::min({max_rows(k), max_rows(v), context_.max_groups[1]});
    for_row_parts(k.rows, most, {10 * elems, 16 * elems}, [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
        const Bound k_bound = bind(k.row_range(first, count), vk::Access::read), v_bound = bind(v.row_range(first, count), vk::Access::read);
        const Bound k_cache = bind(cache.k, vk::Access::write), v_cache = bind(cache.v, vk::Access::write);
        const Bound slots_bound = bind(u32_range(slots, first, count));
        const push::KvWritePush push{.width = k.cols,
                                     .k_at = k_bound.at,
                                     .k_stride = k.row_stride_elems,
                                     .v_at = v_bound.at,
                                     .v_stride = v.row_stride_elems,
                                     .k_cache_at = k_cache.at,
                                     .k_cache_stride = cache.k.row_stride_elems,
                                     .v_cache_at = v_cache.at,
                                     .v_cache_stride = cache.v.row_stride_elems,
                                     .slots_at = slots_bound.at,
                                     .n_slots = cache.k.rows};
        dispatch(kernel_module(KernelFamily::kv_write, cache.k.format), {lanes},
                 {k_bound.binding, v_bound.binding, k_cache.binding, v_cache.binding, slots_bound.binding}, push,
                 {groups_for(k.cols, lanes), count, 1}, cost);
    });
}

bool VkOps::check_cache_fits(const KvLayer& cache) {
    const uint32_t fit = std::min(max_rows(cache.k), max_rows(cache.v));
    if (fit >= cache.k.rows) return !plan_.error;
    if (!plan_.error) {
        plan_.error = Error{ErrorCode::limit, fmt::format("{}: a layer's cache of {} positions does not fit in a binding of this device "
                                                          "({} bytes); {} positions would. Use a smaller context or an f16 cache",
                                                          cache.k.storage->name(), cache.k.rows, context_.max_binding_bytes, fit)};
    }
    return false;
}

}  // namespace atlas
