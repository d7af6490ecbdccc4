#include <algorithm>
#include <bit>

#include "runtime/kernels/kv_cache.h"
#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/select.h"
#include "runtime/kernels/view.h"
#include "shaders/push/kv_copy.h"
#include "shaders/push/kv_write.h"

namespace atlas {

VkOps::Bound VkOps::bind_cache(const Tensor& cache, vk::Access access) {
    return bind_bytes(cache.storage, cache.offset_bytes,
                      cache.rows * kv_row_bytes(cache.format, cache.row_stride_elems), kKvAlignmentBytes, access);
}

void VkOps::kv_write(const Tensor& k, const Tensor& v, const KvLayer& cache, const U32View& slots) {
    ATLAS_CHECK(k.cols == cache.k.cols && slots.count == k.rows &&
                    (v ? v.cols == cache.v.cols && k.rows == v.rows : !cache.v_passes_on_errors()),
                "kv_write: k [{}, {}], v [{}, {}], cache of {} and {} columns, {} slots", k.rows, k.cols, v.rows,
                v.cols, cache.k.cols, cache.v.cols, slots.count);
    ATLAS_CHECK(is_kv_format(cache.k.format) && (!v || (is_kv_format(cache.v.format) && cache.k.rows == cache.v.rows)),
                "kv_write: a {} and a {} cache", info(cache.k.format).name, info(cache.v.format).name);
    if (!check_cache_fits(cache)) return;
    if (cache.k_passes_on_errors() || cache.v_passes_on_errors()) {
        const uint32_t n_head_kv =
            cache.k_passes_on_errors() ? k.cols / cache.fitted_k.feedback.cols : v.cols / cache.fitted_v.feedback.cols;
        const RopeParams no_rope{.head_dim = k.cols / n_head_kv, .n_rot = 0};
        return rotated_kv_write({{}, k, v, no_rope, {}, {}, cache, slots});
    }
    // A lane takes 32 elements: a narrow cache row gives few lanes something to do.
    const uint32_t blocks = groups_for(std::max(k.cols, v.cols), 32);
    const uint32_t lanes = std::min(choose_element_lanes(context_.caps), std::max(8u, std::bit_ceil(blocks)));
    const double elems = double(k.rows) * (k.cols + v.cols);
    const bool searches = info(cache.k.format).block_elems > 1 || (v && info(cache.v.format).block_elems > 1);
    const uint32_t most = std::min({max_rows(k), max_rows(v), context_.max_groups[1]});
    // Without values the keys' bindings stand in for theirs.
    const Tensor &some_v = v ? v : k, &some_v_cache = v ? cache.v : cache.k;
    for_row_parts(k.rows, most, {(searches ? 200 : 5) * elems, 8 * elems},
                  [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
                      const Bound k_bound = bind(k.row_range(first, count), vk::Access::read),
                                  v_bound = bind(some_v.row_range(first, count), vk::Access::read);
                      const Bound k_cache = bind_cache(cache.k, vk::Access::write),
                                  v_cache = bind_cache(some_v_cache, vk::Access::write);
                      const Bound slots_bound = bind(u32_range(slots, first, count));
                      const push::KvWritePush push{.k_width = k.cols,
                                                   .v_width = v.cols,
                                                   .k_at = k_bound.at,
                                                   .k_stride = k.row_stride_elems,
                                                   .v_at = v_bound.at,
                                                   .v_stride = v.row_stride_elems,
                                                   .k_cache_at = k_cache.at,
                                                   .k_cache_stride = cache_stride_units(cache.k),
                                                   .v_cache_at = v_cache.at,
                                                   .v_cache_stride = cache_stride_units(some_v_cache),
                                                   .slots_at = slots_bound.at,
                                                   .first_slot = 0,
                                                   .n_slots = cache.k.rows};
                      dispatch(
                          kernel_module(KernelFamily::kv_write),
                          {lanes, cache_constant(cache.k.format), cache_constant(some_v_cache.format)},
                          {k_bound.binding, v_bound.binding, k_cache.binding, v_cache.binding, slots_bound.binding},
                          push, {groups_for(blocks, lanes), count, v ? 2u : 1u}, cost);
                  });
}

void VkOps::kv_copy(const Tensor& from, const U32View& from_pages, const Tensor& to, const U32View& to_pages,
                    uint32_t page_tokens) {
    ATLAS_CHECK(from.format == to.format && from.cols == to.cols && from.row_stride_elems == to.row_stride_elems,
                "kv_copy: a {} cache of {} columns, a {} cache of {}", info(from.format).name, from.cols,
                info(to.format).name, to.cols);
    ATLAS_CHECK(from_pages.count == to_pages.count && page_tokens > 0, "kv_copy: {} pages to {}", from_pages.count,
                to_pages.count);
    if (!check_cache_fits({from, to, page_tokens})) return;
    const bool same = from.storage == to.storage;
    const Bound from_bound = bind_cache(from, same ? vk::Access::read_write : vk::Access::read);
    const Bound to_bound = bind_cache(to, same ? vk::Access::read_write : vk::Access::write);
    const uint32_t page_units = page_tokens * cache_stride_units(from), lanes = choose_element_lanes(context_.caps);
    const double bytes = double(page_units) * kKvAlignmentBytes;
    const uint32_t most = context_.max_groups[1];
    for_row_parts(from_pages.count, most, {0, 2 * bytes * from_pages.count},
                  [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
                      const Bound sources = bind(u32_range(from_pages, first, count)),
                                  targets = bind(u32_range(to_pages, first, count));
                      const push::KvCopyPush push{.from_at = from_bound.at,
                                                  .to_at = to_bound.at,
                                                  .page_units = page_units,
                                                  .n_from_pages = from.rows / page_tokens,
                                                  .n_to_pages = to.rows / page_tokens,
                                                  .from_pages_at = sources.at,
                                                  .to_pages_at = targets.at};
                      dispatch(kernel_module(KernelFamily::kv_copy), {lanes},
                               {from_bound.binding, to_bound.binding, sources.binding, targets.binding}, push,
                               {groups_for(page_units, lanes), count, 1}, cost);
                  });
}

bool VkOps::check_cache_fits(const KvLayer& cache) {
    const auto fitting = [&](const Tensor& t) {
        const uint64_t row_bytes = kv_row_bytes(t.format, t.row_stride_elems);
        return rows_that_fit(row_bytes, row_bytes, kKvAlignmentBytes, context_.caps.min_storage_buffer_offset_alignment,
                             context_.max_binding_bytes);
    };
    const uint32_t fit = std::min(fitting(cache.k), cache.v ? fitting(cache.v) : UINT32_MAX);
    if (fit >= cache.k.rows) return !plan_.error;
    if (!plan_.error) {
        plan_.error =
            Error{ErrorCode::limit,
                  fmt::format("{}: a layer's cache of {} positions does not fit in a binding of this device "
                              "({} bytes); {} positions would. Use a smaller context or a smaller format of the cache",
                              cache.k.storage->name(), cache.k.rows, context_.max_binding_bytes, fit)};
    }
    return false;
}

}  // namespace atlas
