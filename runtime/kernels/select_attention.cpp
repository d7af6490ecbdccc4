#include <algorithm>
#include <bit>

#include "runtime/kernels/attention_variant.h"
#include "runtime/kernels/kv_cache.h"
#include "runtime/kernels/self_test_attention.h"
#include "runtime/ops/dry_ops.h"

namespace atlas {

std::string AttentionVariant::name() const { return fmt::format("{}({})", name_of(family), fmt::join(constants, ", ")); }

std::vector<uint32_t> attention_constants(const AttentionShape& shape, uint32_t local_size, uint32_t rows) {
    return {local_size, shape.head_dim, shape.value_dim, shape.heads_per_kv, cache_constant(shape.formats.k),
            cache_constant(shape.formats.v), shape.page_tokens, rows};
}

std::string tuning_key(const AttentionShape& shape) {
    const uint32_t bucket = shape.n_tokens <= kMostTokensAlike ? kMostTokensAlike : std::bit_ceil(shape.n_tokens);
    return fmt::format("attention {}x{}:{} {}:{} x {}", shape.heads_per_kv, shape.head_dim, shape.value_dim, info(shape.formats.k).name,
                       info(shape.formats.v).name, bucket);
}

void offer_attention_rows(const vk::DeviceCaps& caps, const AttentionShape& shape, std::vector<AttentionVariant>& out) {
    const uint32_t rows = lanes_at_most(caps, runs_on_cpu(caps) ? 8 : 32);
    AttentionVariant variant{.family = KernelFamily::attention_rows, .constants = attention_constants(shape, rows, rows), .rows = rows};
    variant.constants.push_back(8);  // keys at a time
    out.push_back(variant);
}

std::vector<AttentionVariant> attention_candidates(const vk::DeviceCaps& caps, const AttentionShape& shape) {
    std::vector<AttentionVariant> out;
    offer_attention_coopmat(caps, shape, out);
    offer_attention_coopmat2(caps, shape, out);  // second until a card has measured both
    if (runs_on_cpu(caps) && !out.empty()) {     // a CPU's matrices are emulated: they are offered for tests
        std::vector<AttentionVariant> first;
        offer_attention_rows(caps, shape, first);
        out.insert(out.begin(), first.begin(), first.end());
    }
    offer_attention_rows(caps, shape, out);
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

AttentionVariant choose_attention(const vk::DeviceCaps& caps, const KernelChoices& choices, const AttentionShape& shape) {
    if (choices.only_attention != nullptr) return *choices.only_attention;
    AttentionVariant variant = pick(caps, choices, shape);
    if (choices.attention_log != nullptr) choices.attention_log->push_back({variant, shape});
    return variant;
}

}  // namespace atlas
