#include "shaders/push/attention.h"

#include <algorithm>

#include "runtime/kernels/kv_cache.h"
#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/attention_variant.h"
#include "runtime/kernels/select/select.h"
#include "runtime/ops/dry_ops.h"
#include "shaders/push/attention_combine.h"

namespace atlas {

namespace {

void check_attention(const Tensor& q, const KvLayer& cache, const AttentionTables& tables, const AttentionParams& p,
                     const Tensor& y) {
    ATLAS_CHECK(q.cols == p.n_head * p.head_dim && y.cols == p.n_head * p.value_dim() && q.rows == y.rows,
                "attention: q [{}, {}], y [{}, {}], {} heads of {} and {}", q.rows, q.cols, y.rows, y.cols, p.n_head,
                p.head_dim, p.value_dim());
    ATLAS_CHECK(p.n_head_kv > 0 && p.n_head % p.n_head_kv == 0 && cache.k.cols == p.n_head_kv * p.head_dim &&
                    cache.v.cols == p.n_head_kv * p.value_dim(),
                "attention: {} heads, {} KV heads, cache of {} and {} columns", p.n_head, p.n_head_kv, cache.k.cols,
                cache.v.cols);
    for (const uint32_t dim : {p.head_dim, p.value_dim()})
        ATLAS_CHECK(dim > 0 && dim % kAttentionHeadMultiple == 0 && dim <= kLargestAttentionHead,
                    "attention: heads of {}", dim);
    ATLAS_CHECK(tables.positions.count == q.rows && tables.seqs.count == q.rows,
                "attention: {} tokens, {} positions, {} sequences", q.rows, tables.positions.count, tables.seqs.count);
    ATLAS_CHECK(cache.k.rows == cache.v.rows && cache.page_tokens > 0, "attention: {} keys, {} values", cache.k.rows,
                cache.v.rows);
    ATLAS_CHECK(!p.sinks || (p.sinks.format == Format::f32 && p.sinks.cols == p.n_head), "attention: sinks [{}]",
                p.sinks.cols);
}

}  // namespace

void VkOps::attention(const Tensor& q, const KvLayer& cache, const AttentionTables& tables,
                      const AttentionParams& params, const Tensor& y) {
    check_attention(q, cache, tables, params, y);
    if (!check_cache_fits(cache) || q.rows == 0) return;

    const double keys =
        params.window == 0 ? tables.max_kv_tokens : std::min(tables.max_kv_tokens, params.window + q.rows);
    // Where even one token's share of a split runs too long (a chunk of prefill far into a long context, on a slow
    // device), run a few tokens at a time: their keys are split more often. DryOps counts the same scratch.
    const AttentionSplits splits = attention_splits(q.rows, params, tables.max_kv_tokens);
    const vk::Cost least{2.0 * keys * params.n_head * (params.head_dim + params.value_dim()) / splits.n, 0};
    const uint32_t at_a_time = parts_by_cost(least) > 1 ? kBatchInvariantWidth : q.rows;
    for (uint32_t first = 0; first < q.rows; first += at_a_time) {
        const uint32_t count = std::min(at_a_time, q.rows - first);
        AttentionTables some = tables;
        some.positions = u32_range(tables.positions, first, count);
        some.seqs = u32_range(tables.seqs, first, count);
        attention_of_some(q.row_range(first, count), cache, some, params, keys, y.row_range(first, count));
    }
}

void VkOps::attention_of_some(const Tensor& q, const KvLayer& cache, const AttentionTables& tables,
                              const AttentionParams& params, double keys, const Tensor& y) {
    const AttentionSplits splits = attention_splits(q.rows, params, tables.max_kv_tokens);
    const AttentionShape shape{.head_dim = params.head_dim,
                               .value_dim = params.value_dim(),
                               .heads_per_kv = params.n_head / params.n_head_kv,
                               .n_head_kv = params.n_head_kv,
                               .n_tokens = q.rows,
                               .max_kv_tokens = tables.max_kv_tokens,
                               .page_tokens = cache.page_tokens,
                               .formats = {cache.k.format, cache.v.format}};
    const AttentionVariant variant = choose_attention(context_.caps, context_.choices, shape);
    const ScratchScope scope(*this);
    const Tensor parts = splits.n > 1
                             ? scratch(q.rows, params.n_head * splits.n * (params.value_dim() + 2), "attention parts")
                             : Tensor{};

    const double row_bytes = double(cache.k.row_stride_bytes() + cache.v.row_stride_bytes());
    const vk::Cost whole{2.0 * q.rows * keys * params.n_head * (params.head_dim + params.value_dim()),
                         keys * row_bytes * groups_for(q.rows * shape.heads_per_kv, variant.rows)};
    // Few tokens with many keys are cut by their splits, many tokens by tokens. Rounded down: no part costs more than
    // its share.
    const uint32_t split_parts = std::min(splits.n, parts_by_cost(whole)), per_part = splits.n / split_parts;
    const uint32_t most = std::min(
        {max_rows(q), max_rows(y), max_rows(parts), context_.max_groups[0] * variant.rows / shape.heads_per_kv});
    for (uint32_t first_split = 0; first_split < splits.n; first_split += per_part) {
        const uint32_t n_splits = std::min(per_part, splits.n - first_split);
        const vk::Cost cost{whole.flops * n_splits / splits.n, whole.bytes * n_splits / splits.n};
        for_row_parts(q.rows, most, cost, [&](uint32_t first, uint32_t count, const vk::Cost& part_cost) {
            AttentionTables part_tables = tables;
            part_tables.positions = u32_range(tables.positions, first, count);
            part_tables.seqs = u32_range(tables.seqs, first, count);
            const Tensor out = parts ? parts.row_range(first, count) : y.row_range(first, count);
            attention_part(variant, q.row_range(first, count), cache, part_tables, params,
                           {splits, first_split, n_splits}, out, part_cost);
        });
    }
    if (splits.n > 1) combine_attention(parts, params, splits.n, y);
}

void VkOps::attention_part(const AttentionVariant& variant, const Tensor& q, const KvLayer& cache,
                           const AttentionTables& tables, const AttentionParams& params, const SplitRange& range,
                           const Tensor& out, const vk::Cost& cost) {
    const bool has_shared = tables.shared_positions.count > 0;
    const Bound q_bound = bind(q, vk::Access::read), k_bound = bind_cache(cache.k, vk::Access::read),
                v_bound = bind_cache(cache.v, vk::Access::read);
    const Bound positions_bound = bind(tables.positions), seqs_bound = bind(tables.seqs),
                pages_bound = bind(tables.page_table);
    const Bound shared_bound = has_shared ? bind(tables.shared_positions) : positions_bound;
    const Bound sinks_bound = params.sinks ? bind(params.sinks, vk::Access::read) : q_bound;
    const Bound out_bound = bind(out, vk::Access::write);
    const push::AttentionPush push{.q_at = q_bound.at,
                                   .q_stride = q.row_stride_elems,
                                   .k_at = k_bound.at,
                                   .k_stride = cache_stride_units(cache.k),
                                   .v_at = v_bound.at,
                                   .v_stride = cache_stride_units(cache.v),
                                   .v_width = cache.v.row_stride_elems,
                                   .out_at = out_bound.at,
                                   .out_stride = out.row_stride_elems,
                                   .positions_at = positions_bound.at,
                                   .seqs_at = seqs_bound.at,
                                   .page_table_at = pages_bound.at,
                                   .max_pages = tables.max_pages,
                                   .shared_at = shared_bound.at,
                                   .sinks_at = sinks_bound.at,
                                   .has_shared = has_shared ? 1u : 0u,
                                   .has_sinks = params.sinks ? 1u : 0u,
                                   .n_tokens = q.rows,
                                   .n_head = params.n_head,
                                   .n_cache_rows = cache.k.rows,
                                   .first_row = 0,
                                   .n_splits = range.splits.n,
                                   .first_split = range.first,
                                   .chunk_keys = range.splits.chunk_keys,
                                   .window = params.window,
                                   .scale = params.scale,
                                   .softcap = params.softcap};
    const uint32_t blocks = groups_for(q.rows * (params.n_head / params.n_head_kv), variant.rows);
    dispatch(kernel_module(variant.family), variant.constants,
             {q_bound.binding, k_bound.binding, v_bound.binding, positions_bound.binding, seqs_bound.binding,
              pages_bound.binding, shared_bound.binding, sinks_bound.binding, out_bound.binding},
             push, {blocks, params.n_head_kv, range.count}, cost, variant.subgroup_size);
}

void VkOps::combine_attention(const Tensor& parts, const AttentionParams& params, uint32_t n_splits, const Tensor& y) {
    const uint32_t most = std::min({max_rows(y), max_rows(parts), context_.max_groups[0]});
    const double elems = double(parts.rows) * parts.cols;
    for_row_parts(y.rows, most, {4 * elems, 4 * elems}, [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
        const Bound parts_bound = bind(parts.row_range(first, count), vk::Access::read);
        const Bound sinks_bound = params.sinks ? bind(params.sinks, vk::Access::read) : parts_bound;
        const Bound y_bound = bind(y.row_range(first, count), vk::Access::write);
        const push::AttentionCombinePush push{.part_at = parts_bound.at,
                                              .y_at = y_bound.at,
                                              .y_stride = y.row_stride_elems,
                                              .sinks_at = sinks_bound.at,
                                              .has_sinks = params.sinks ? 1u : 0u,
                                              .n_head = params.n_head,
                                              .value_dim = params.value_dim(),
                                              .n_splits = n_splits};
        dispatch(kernel_module(KernelFamily::attention_combine), {choose_element_lanes(context_.caps)},
                 {parts_bound.binding, sinks_bound.binding, y_bound.binding}, push, {count, params.n_head, 1}, cost);
    });
}

}  // namespace atlas
