#include <algorithm>

#include "runtime/kernels/select.h"
#include "runtime/kernels/vk_ops.h"
#include "runtime/ops/dry_ops.h"
#include "shaders/push/attention.h"
#include "shaders/push/attention_combine.h"

namespace atlas {

void VkOps::attention(const Tensor& q, const KvLayer& cache, const AttentionTables& tables, const AttentionParams& params,
                      const Tensor& y) {
    const uint32_t width = params.n_head * params.head_dim;
    ATLAS_CHECK(q.cols == width && y.cols == width && q.rows == y.rows, "attention: q [{}, {}], y [{}, {}], {} heads of {}", q.rows, q.cols,
                y.rows, y.cols, params.n_head, params.head_dim);
    ATLAS_CHECK(params.n_head_kv > 0 && params.n_head % params.n_head_kv == 0 &&
                    cache.k.cols == params.n_head_kv * params.head_dim && cache.v.cols == cache.k.cols,
                "attention: {} heads, {} KV heads, cache of {} and {} columns", params.n_head, params.n_head_kv, cache.k.cols, cache.v.cols);
    ATLAS_CHECK(params.head_dim % 8 == 0 && params.head_dim >= 8 && params.head_dim <= 256, "attention: heads of {}", params.head_dim);
    ATLAS_CHECK(tables.positions.count == q.rows && tables.seqs.count == q.rows, "attention: {} tokens, {} positions, {} sequences", q.rows,
                tables.positions.count, tables.seqs.count);
    ATLAS_CHECK(cache.k.format == cache.v.format && cache.k.rows == cache.v.rows && cache.page_tokens > 0, "attention: mixed caches");
    if (!check_cache_fits(cache) || q.rows == 0) return;

    const uint32_t n_splits = attention_splits(q.rows, params, tables.max_kv_tokens);
    const uint32_t part_cols = params.n_head * n_splits * (params.head_dim + 2);
    const ScratchScope scope(*this);
    const Tensor parts = n_splits > 1 ? scratch(q.rows, part_cols, "attention parts") : Tensor{};

    const double pairs = double(q.rows) * tables.max_kv_tokens;
    const vk::Cost whole{4 * pairs * width, pairs * double(cache.k.row_stride_bytes() + cache.v.row_stride_bytes())};
    const uint32_t most = std::min({max_rows(q), max_rows(y), max_rows(parts), context_.max_groups[0]});
    for_row_parts(q.rows, most, whole, [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
        const Tensor parts_part = parts ? parts.row_range(first, count) : Tensor{};
        AttentionTables part_tables = tables;
        part_tables.positions = u32_range(tables.positions, first, count);
        part_tables.seqs = u32_range(tables.seqs, first, count);
        attention_part(q.row_range(first, count), cache, part_tables, params, n_splits, parts_part, y.row_range(first, count), cost);
    });
}

void VkOps::attention_part(const Tensor& q, const KvLayer& cache, const AttentionTables& tables, const AttentionParams& params,
                           uint32_t n_splits, const Tensor& parts, const Tensor& y, const vk::Cost& cost) {
    const uint32_t heads_per_kv = params.n_head / params.n_head_kv;
    const AttentionTuning tuning = choose_attention(context_.caps, params.head_dim, heads_per_kv);
    const Bound q_bound = bind(q, vk::Access::read), k_bound = bind(cache.k, vk::Access::read), v_bound = bind(cache.v, vk::Access::read);
    const Bound positions_bound = bind(tables.positions), seqs_bound = bind(tables.seqs), pages_bound = bind(tables.page_table);
    const Bound out_bound = bind(n_splits > 1 ? parts : y, vk::Access::write);
    const push::AttentionPush push{.q_at = q_bound.at,
                                   .q_stride = q.row_stride_elems,
                                   .k_at = k_bound.at,
                                   .k_stride = cache.k.row_stride_elems,
                                   .v_at = v_bound.at,
                                   .v_stride = cache.v.row_stride_elems,
                                   .out_at = out_bound.at,
                                   .out_stride = y.row_stride_elems,
                                   .positions_at = positions_bound.at,
                                   .seqs_at = seqs_bound.at,
                                   .page_table_at = pages_bound.at,
                                   .max_pages = tables.max_pages,
                                   .page_tokens = cache.page_tokens,
                                   .n_cache_rows = cache.k.rows,
                                   .n_head = params.n_head,
                                   .heads_per_kv = heads_per_kv,
                                   .n_splits = n_splits,
                                   .scale = params.scale};
    dispatch(kernel_module(KernelFamily::attention, cache.k.format), {tuning.lanes, params.head_dim, tuning.heads},
             {q_bound.binding, k_bound.binding, v_bound.binding, positions_bound.binding, seqs_bound.binding, pages_bound.binding,
              out_bound.binding},
             push, {q.rows, params.n_head / tuning.heads, n_splits}, cost);
    if (n_splits == 1) return;

    const Bound parts_bound = bind(parts, vk::Access::read), y_bound = bind(y, vk::Access::write);
    const push::AttentionCombinePush combine{.part_at = parts_bound.at,
                                             .y_at = y_bound.at,
                                             .y_stride = y.row_stride_elems,
                                             .n_head = params.n_head,
                                             .head_dim = params.head_dim,
                                             .n_splits = n_splits};
    const double elems = double(parts.rows) * parts.cols;
    dispatch(kernel_module(KernelFamily::attention_combine), {choose_element_lanes(context_.caps)},
             {parts_bound.binding, y_bound.binding}, combine, {q.rows, params.n_head, 1}, {4 * elems, 4 * elems});
}

}  // namespace atlas
