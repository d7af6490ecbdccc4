#include <algorithm>
#include <bit>

#include "runtime/kernels/kv_cache.h"
#include "runtime/kernels/select/attention_variant.h"
#include "runtime/kernels/select/select.h"
#include "runtime/kernels/self_test/self_test_attention.h"
#include "runtime/ops/dry_ops.h"

namespace atlas {

std::string AttentionVariant::name() const {
    return fmt::format("{}({})", name_of(family), fmt::join(constants, ", "));
}

std::vector<uint32_t> attention_constants(const AttentionShape& shape, uint32_t local_size, uint32_t rows) {
    return {local_size,
            shape.head_dim,
            shape.value_dim,
            shape.heads_per_kv,
            cache_constant(shape.formats.k),
            cache_constant(shape.formats.v),
            shape.page_tokens,
            rows};
}

std::string tuning_key(const AttentionShape& shape) {
    const uint32_t bucket =
        shape.n_tokens <= kBatchInvariantWidth ? kBatchInvariantWidth : std::bit_ceil(shape.n_tokens);
    return fmt::format("attention {}x{}:{} {}:{} x {}", shape.heads_per_kv, shape.head_dim, shape.value_dim,
                       info(shape.formats.k).name, info(shape.formats.v).name, bucket);
}

void offer_attention_rows(const vk::DeviceCaps& caps, const AttentionShape& shape, std::vector<AttentionVariant>& out) {
    constexpr uint32_t kTile = 8;  // keys at a time
    const bool runs = caps.subgroup_basic && caps.subgroup_ballot && caps.min_subgroup_size >= kTile;
    // Larger heads unroll to code that takes a CPU's compiler minutes.
    if (!runs_on_cpu(caps) || !runs || std::max(shape.head_dim, shape.value_dim) > 256) return;
    const uint32_t rows = lanes_at_most(caps, 8);
    AttentionVariant variant{
        .family = KernelFamily::attention_rows, .constants = attention_constants(shape, rows, rows), .rows = rows};
    variant.constants.push_back(kTile);
    out.push_back(variant);
}

void offer_attention_keys(const vk::DeviceCaps& caps, const AttentionShape& shape, std::vector<AttentionVariant>& out) {
    constexpr uint32_t kThreads = 128;
    const bool few_registers = registers_per_lane(caps) <= 128;
    const uint32_t most_rows =
        few_registers || shape.head_dim > 256 ? 4 : 8;  // so that a block's queries fit, see below
    // The query heads of a group side by side: as few blocks as hold them, none with rows to spare. With one or two
    // heads there is room for the tokens of a verify step. It must not depend on their number: steps of 1 ..
    // kBatchInvariantWidth tokens run the same pipeline.
    const uint32_t heads = shape.heads_per_kv, blocks = (heads + most_rows - 1) / most_rows;
    const uint32_t rows = heads <= 2 ? 4 : (heads + blocks - 1) / blocks;
    // A B580 (ANV, Mesa 26.2.6, 2026-11-30, q8_0 keys of 128) spills 46 registers with 8 rows and 64 keys, 12 with 32,
    // none with 4 and 32. A tile's scores and weights beside the block's queries in 16 KiB, the least that a device
    // has.
    const uint32_t keys = shape.head_dim <= 128 && !few_registers ? 64 : 32;
    // Of quantized keys half a block at a time, whose codes are one load of 16 bytes, where each of the four
    // invocations of a key gets one. Of values too, where there is room for twice the sums. GA102 (NAK, Mesa 26.2.6,
    // 2026-11-30), q8_0, heads of 128: 4 rows take 120 registers (16 warps), with 16 columns 152 (12); 8 rows 168 (12),
    // with 16 columns they spill 76. A B580 spills 9 with 16 columns and 4 rows.
    const bool late = unpacks_late(caps);
    const uint32_t key_elems = late && info(shape.formats.k).block_elems > 1 && shape.head_dim % 64 == 0 ? 16 : 8;
    const bool wide_values =
        late && !few_registers && rows <= 4 && info(shape.formats.v).block_elems > 1 && shape.value_dim % 16 == 0;
    const uint32_t value_elems = wide_values ? 16 : 8;
    const uint32_t scores = std::max(4 * (rows * keys + 8), kThreads * 8), row_quads = (rows + 3) / 4;
    AttentionVariant variant{.family = KernelFamily::attention_keys,
                             .constants = attention_constants(shape, kThreads, rows),
                             .rows = rows,
                             .shared_bytes = 4 * (rows * shape.head_dim + scores + 4 * keys * row_quads + rows * 16 +
                                                  4 * row_quads + 2 * keys)};
    for (const uint32_t constant : {keys, key_elems, value_elems}) variant.constants.push_back(constant);
    // Subgroups of 64, where they are the driver's choice, hold twice as many sums in registers.
    if (caps.subgroup_size_control && caps.min_subgroup_size <= 32 && caps.max_subgroup_size >= 32)
        variant.subgroup_size = choose_subgroup_size(caps);
    out.push_back(variant);
}

std::vector<AttentionVariant> attention_candidates(const vk::DeviceCaps& caps, const AttentionShape& shape) {
    std::vector<AttentionVariant> out;
    offer_attention_rows(caps, shape, out);  // CPUs only; their matrices are emulated and follow for tests
    offer_attention_coopmat(caps, shape, out);
    offer_attention_coopmat2(caps, shape, out);  // second until a card has measured both
    offer_attention_keys(caps, shape, out);
    return out;
}

namespace {

AttentionVariant pick(const vk::DeviceCaps& caps, const KernelChoices& choices, const AttentionShape& shape) {
    const std::vector<AttentionVariant> candidates = attention_candidates(caps, shape);
    const auto rejected = [&](const AttentionVariant& v) { return choices.rejected.contains(v.name()); };
    if (const auto wanted = choices.preferred.find(tuning_key(shape)); wanted != choices.preferred.end()) {
        for (const AttentionVariant& v : candidates) {
            if (v.name() == wanted->second && !rejected(v)) return v;
        }
    }
    for (const AttentionVariant& v : candidates) {
        if (!rejected(v)) return v;
    }
    return candidates.back();
}

}  // namespace

AttentionVariant choose_attention(const vk::DeviceCaps& caps, const KernelChoices& choices,
                                  const AttentionShape& shape) {
    if (choices.only_attention != nullptr) return *choices.only_attention;
    AttentionVariant variant = pick(caps, choices, shape);
    if (choices.attention_log != nullptr) choices.attention_log->push_back({variant, shape});
    return variant;
}

}  // namespace atlas
