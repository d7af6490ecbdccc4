#pragma once
// One way to run attention, as plain data. Every select_attention*.cpp offers the variants of its kernels that a device
// can run for a shape; select_attention.cpp ranks them. All of them share bindings, push constants and the meaning of
// the workgroup's number (shaders/attention/attention_common.glsl), so that runtime/kernels/ops/attention.cpp runs
// every variant with the same code.

#include <string>
#include <vector>

#include "runtime/kernels/select/matmul_variant.h"
#include "runtime/ops/kv_layout.h"

namespace atlas {

struct AttentionShape {
    uint32_t head_dim = 0;
    uint32_t value_dim = 0;
    uint32_t heads_per_kv = 0;
    uint32_t n_head_kv = 0;
    uint32_t n_tokens = 0;
    uint32_t max_kv_tokens = 0;
    uint32_t page_tokens = 0;
    KvFormats formats;
};

struct AttentionVariant {
    KernelFamily family = KernelFamily::attention_keys;
    std::vector<uint32_t> constants;  // specialization, ids 0..; the first eight are those of attention_common.glsl
    uint32_t rows =
        1;  // queries of a workgroup: groups x = ceil(n_tokens * heads_per_kv / rows), y = n_head_kv, z = splits
    uint32_t subgroup_size = 0;  // that the pipeline must have; 0: the driver's choice
    uint32_t shared_bytes = 0;   // of a workgroup

    std::string name() const;  // "attention_keys(128, 64, ...)"
};

/// The first eight constants.
std::vector<uint32_t> attention_constants(const AttentionShape& shape, uint32_t local_size, uint32_t rows);

/// Shapes that share a measurement: head sizes, heads per KV head, formats, and the bucket of n_tokens (1 .. 24, then
/// powers of two).
std::string tuning_key(const AttentionShape& shape);

/// All variants that this device can run for the shape, the one expected to be fastest first; never empty; the last is
/// a baseline that runs on every device. Steps of 1 .. kBatchInvariantWidth tokens get the same list, so that a token's
/// result does not depend on how many are with it.
std::vector<AttentionVariant> attention_candidates(const vk::DeviceCaps& caps, const AttentionShape& shape);

/// The preferred candidate if there is one, else the first that was not rejected (by its name), else the baseline.
AttentionVariant choose_attention(const vk::DeviceCaps& caps, const KernelChoices& choices,
                                  const AttentionShape& shape);

// One function per kernel: appends what it offers for the shape, best first, or nothing.
void offer_attention_rows(const vk::DeviceCaps& caps, const AttentionShape& shape, std::vector<AttentionVariant>& out);
void offer_attention_keys(const vk::DeviceCaps& caps, const AttentionShape& shape,
                          std::vector<AttentionVariant>& out);  // on every device
// select_attention_coopmat.cpp: steps of more than kBatchInvariantWidth tokens.
void offer_attention_coopmat2(const vk::DeviceCaps& caps, const AttentionShape& shape,
                              std::vector<AttentionVariant>& out);
void offer_attention_coopmat(const vk::DeviceCaps& caps, const AttentionShape& shape,
                             std::vector<AttentionVariant>& out);

}  // namespace atlas
