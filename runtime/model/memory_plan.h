#pragma once
// How much memory a model and one session need, before a byte is allocated. Pure: the same numbers with and without a
// device.

#include <functional>
#include <span>
#include <vector>

#include "runtime/model/forward.h"
#include "runtime/model/weights.h"
#include "runtime/ops/backend.h"
#include "runtime/ops/dry_ops.h"

namespace atlas {

/// Tokens per page of the KV cache. 32 rows keep the page table small (a 128 KiB table for a million tokens) and waste
/// at most 31 rows per session; a multiple of the 16 and 32 row tiles that attention kernels read, so that no tile
/// crosses a page.
inline constexpr uint32_t kPageTokens = 32;

/// The session that is planned for.
struct SessionShape {
    uint32_t n_ctx = 0;      // longest timeline in tokens; rounded up to whole pages; 0: the model's own, or what fits
    uint32_t n_batch = 512;  // most tokens per step; bounds scratch, not the length of a prompt
    uint32_t max_outputs = 1;  // most logit rows per step, <= n_batch
    KvFormats kv_format = {};  // of K and V; one format stands for both
};

/// Bytes as the device hands them out: every storage rounded up to kStorageAlignmentBytes.
struct MemoryPlan {
    uint32_t n_ctx = 0;  // as planned: whole pages
    uint64_t weights_bytes = 0;
    uint64_t kv_bytes = 0;
    uint64_t scratch_bytes = 0;
    uint64_t step_bytes = 0;             // what a step reads: tokens, positions, page tables, the sampler's state
    uint64_t output_bytes = 0;           // logits and chosen tokens
    uint64_t other_bytes = 0;            // allocated by the backend while it loads and runs (Backend::overhead_bytes)
    uint64_t largest_storage_bytes = 0;  // of weights and cache: devices limit a single allocation

    /// All but weights and cache.
    uint64_t working_bytes() const { return scratch_bytes + step_bytes + output_bytes + other_bytes; }
    uint64_t session_bytes() const { return kv_bytes + scratch_bytes + step_bytes + output_bytes; }
    uint64_t total_bytes() const { return weights_bytes + session_bytes() + other_bytes; }
};

/// What a plan needs to know of a model and its backend.
struct PlanInput {
    const ModelConfig& config;
    std::span<const ResolvedWeight> weights;
    Forward forward = nullptr;
    uint64_t overhead_bytes = 0;              // Backend::overhead_bytes
    uint64_t max_storage_bytes = UINT64_MAX;  // Backend::max_storage_bytes
};

/// Two models with a session each on one backend (a draft model and its target): they share scratch. The backend's own
/// memory counts twice, as it will when the second one is loaded, because its pipelines differ.
MemoryPlan together(const MemoryPlan& a, const MemoryPlan& b);

/// What storages take together.
uint64_t sum_of(std::span<const uint64_t> storages);
/// Storages of the weights (place_weights), as the device hands them out.
std::vector<uint64_t> storages_of(std::span<const ResolvedWeight> weights, uint64_t max_storage_bytes = UINT64_MAX);
/// The same of a session's parts but scratch: keys and values of each layer; the step's buffers; its outputs.
std::vector<uint64_t> kv_storages(const ModelConfig& config, uint32_t n_ctx, const KvFormats& formats);
std::vector<uint64_t> step_storages(uint32_t n_ctx, uint32_t n_batch);
std::vector<uint64_t> output_storages(const ModelConfig& config, uint32_t max_outputs);

/// Fails: invalid_argument (a session that makes no sense for this model: names the field).
Result<void> check_shape(const ModelConfig& config, const SessionShape& shape);

/// Counts every byte, whatever memory is available: runtime/model/room.h compares. `shape.n_ctx` 0: the model's
/// training context. Fails: as check_shape.
Result<MemoryPlan> plan_memory(const PlanInput& input, const SessionShape& shape);

// The layout of step storages, shared by plan and session.

/// Byte offset of the number that AttentionTables::shared_positions views.
constexpr uint64_t shared_positions_at(uint32_t n_batch) { return 5ull * n_batch * sizeof(uint32_t); }

/// Per step: tokens, positions, slots, seqs, out_rows, each at most n_batch numbers of 4 bytes; after them one for
/// shared_positions.
constexpr uint64_t step_buffer_bytes(uint32_t n_batch) { return shared_positions_at(n_batch) + sizeof(uint32_t); }
constexpr uint32_t pages_for(uint32_t n_tokens) { return (n_tokens + kPageTokens - 1) / kPageTokens; }
constexpr uint64_t page_table_bytes(uint32_t n_ctx) { return pages_for(n_ctx) * sizeof(uint32_t); }
/// For choosing tokens on the device, one step ahead of the host: two buffers of a step's words (position, slot,
/// sequence and output row, then the sampler's parameters), the chosen token with the history of at most kMaxHistory
/// tokens, and two places for results.
inline constexpr uint32_t kMaxHistory = 256;
inline constexpr uint64_t kChainStepBytes = 256;
inline constexpr uint64_t kChainStateBytes = 256 + (2 + kMaxHistory) * sizeof(uint32_t);
inline constexpr uint64_t kChainResultBytes = 2 * 256;
/// For verify steps: the sampler's parameters and its results, of every row. For draft tokens that stay on the device
/// the same, and after the parameters the words of every row's step: position, slot, sequence and output row.
inline constexpr uint64_t kDraftStepsAtBytes = kBatchInvariantWidth * 16 * sizeof(uint32_t);
inline constexpr uint64_t kVerifyParamBytes = kDraftStepsAtBytes + kBatchInvariantWidth * 4 * sizeof(uint32_t);
inline constexpr uint64_t kVerifyResultBytes = kBatchInvariantWidth * 8 * sizeof(uint32_t);
/// The keys or the values of one layer, `width` elements per token (CacheShape).
uint64_t kv_side_bytes(uint32_t width, uint32_t n_ctx, Format format);

}  // namespace atlas
