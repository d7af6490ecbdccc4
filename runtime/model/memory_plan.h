#pragma once
// How much memory a model and one session need, before a byte is allocated. Pure: the same numbers with and without a
// device.

#include <bit>
#include <functional>
#include <optional>
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

/// What is planned for: a session, or an engine whose timelines share a pool.
struct SessionShape {
    uint32_t pool_tokens = 0;  // capacity of the KV cache, all timelines together; 0: n_ctx; rounded up to whole pages
    // longest timeline in tokens; 0: all of the pool, or without one the model's own, or what fits
    uint32_t n_ctx = 0;
    uint32_t n_batch = 512;      // most tokens per step; bounds scratch, not the length of a prompt
    uint32_t max_outputs = 1;    // most logit rows per step, <= n_batch
    uint32_t max_timelines = 1;  // most timelines per step, <= n_batch
    KvFormats kv_format = {};    // of K and V; one format stands for both
    // For layers with a state instead of keys and values: how many states to keep of earlier positions, all timelines
    // together; none: state_counts() chooses.
    std::optional<uint32_t> max_checkpoints = {};
    uint32_t checkpoint_every = 512;  // tokens: a text that changes is read again from such a place

    /// What the cache holds at least: the pool, or the longest timeline; 0: not decided.
    uint32_t capacity() const { return pool_tokens > 0 ? pool_tokens : n_ctx; }
    SessionShape with_capacity(uint32_t n_tokens) const {
        SessionShape shape = *this;
        (pool_tokens > 0 ? shape.pool_tokens : shape.n_ctx) = n_tokens;
        return shape;
    }
};

/// The states that a session keeps of each layer with one.
struct StateCounts {
    // That of no token; of each timeline the one before a step and the one after it; those of n_rows; the checkpoints.
    uint32_t n_slots = 0;
    uint32_t n_rows = 0;  // most tokens of a step that each keep the state after them, so that drafts can be refused
    uint32_t n_checkpoints = 0;
};
/// n_rows is as much as a verify step serves (max_outputs, kBatchInvariantWidth) without such layers. With them, as a
/// state of a 27B model takes 150 MiB, those of rows take at most 1 GiB but 4 rows are there, and those of checkpoints
/// at most 512 MiB but 2 are there and 8 are enough, unless the shape says how many.
StateCounts state_counts(const ModelConfig& config, const SessionShape& shape);

/// How many of a pool's n_pages layers with this window keep at a time: those that all timelines see in a step, and
/// checkpoint_every tokens more, so that a text that changes near its end need not be read again.
uint32_t window_slots(uint32_t window, const SessionShape& shape, uint32_t n_pages);

/// Bytes as the device hands them out: every storage rounded up to kStorageAlignmentBytes.
struct MemoryPlan {
    uint32_t n_ctx = 0;  // capacity of the cache as planned: whole pages
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

/// What the tables of a step depend on.
struct StepSizes {
    uint32_t timeline_tokens = 0;  // longest timeline
    uint32_t n_batch = 0;          // most tokens per step
    uint32_t max_outputs = 0;      // most logit rows per step
    uint32_t max_timelines = 1;    // most timelines per step
    bool has_windows = false;      // of layers
};
/// With a cache of `capacity` tokens.
StepSizes step_sizes(const ModelConfig& config, const SessionShape& shape, uint32_t capacity);

/// Tokens that a cache has room for; both whole pages.
struct KvRows {
    uint32_t n = 0;
    uint32_t of_windows = 0;  // in layers with a window

    uint32_t of(const CacheShape& layer) const { return layer.window > 0 ? of_windows : n; }
};
KvRows kv_rows(const ModelConfig& config, const SessionShape& shape, uint32_t capacity);

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
std::vector<uint64_t> kv_storages(const ModelConfig& config, const KvRows& rows, const KvFormats& formats);
std::vector<uint64_t> state_storages(const ModelConfig& config, uint32_t n_slots);
std::vector<uint64_t> step_storages(const StepSizes& sizes);
std::vector<uint64_t> output_storages(const ModelConfig& config, const StepSizes& sizes);

/// Fails: invalid_argument (a session that makes no sense for this model: names the field).
Result<void> check_shape(const ModelConfig& config, const SessionShape& shape);

/// Counts every byte, whatever memory is available: runtime/model/room.h compares. `shape.n_ctx` 0: the model's
/// training context. Fails: as check_shape.
Result<MemoryPlan> plan_memory(const PlanInput& input, const SessionShape& shape);

// The layout of step storages, shared by plan and session.

/// Byte offset of the number that AttentionTables::shared_positions views.
constexpr uint64_t shared_positions_at(uint32_t n_batch) { return 5ull * n_batch * sizeof(uint32_t); }

/// Per step: tokens, positions, slots, seqs, out_rows, each at most n_batch numbers of 4 bytes; after them one for
/// shared_positions; then the state of each timeline before the step, and of each token after it; then slots of layers
/// with a window.
constexpr uint64_t states_at(uint32_t n_batch) { return shared_positions_at(n_batch) + sizeof(uint32_t); }
constexpr uint64_t window_slots_at(uint32_t n_batch, uint32_t max_timelines) {
    return states_at(n_batch) + uint64_t{n_batch + max_timelines} * sizeof(uint32_t);
}
constexpr uint64_t step_buffer_bytes(uint32_t n_batch, uint32_t max_timelines) {
    return window_slots_at(n_batch, max_timelines) + uint64_t{n_batch} * sizeof(uint32_t);
}
constexpr uint32_t pages_for(uint32_t n_tokens) { return (n_tokens + kPageTokens - 1) / kPageTokens; }
/// The sampler's parameters and its result for a row.
inline constexpr uint64_t kChoiceParamBytes = 16 * sizeof(uint32_t);
inline constexpr uint64_t kChoiceResultBytes = 8 * sizeof(uint32_t);
/// Rows that the device may choose from in one step; the parameters of all of them, then the words of
/// kBatchInvariantWidth drafting steps of one token.
constexpr uint64_t choice_rows(const StepSizes& s) {
    return s.max_outputs > kBatchInvariantWidth ? s.max_outputs : kBatchInvariantWidth;
}
constexpr uint64_t drafts_at(const StepSizes& s) { return choice_rows(s) * kChoiceParamBytes; }
inline constexpr uint64_t kDraftWordsBytes = step_buffer_bytes(1, 1);
/// The number of tokens that a step for n tokens of many timelines is recorded for: the smallest size >= n, where the
/// sizes are 1 .. 8 and then four between powers of two.
constexpr uint32_t step_size_bucket(uint32_t n) {
    if (n <= 8) return n;
    const uint32_t unit = std::bit_floor(n - 1) / 4;
    return (n + unit - 1) / unit * unit;
}
/// Steps of one token of each timeline that run one ahead of the host: their words and the sampler's parameters. The
/// tokens that the last one chose, then a ring of at most kMaxHistory tokens that penalties look at.
inline constexpr uint32_t kMaxHistory = 256;
constexpr uint64_t ahead_params_at(const StepSizes& s) {
    return (step_buffer_bytes(s.max_timelines, s.max_timelines) + kChoiceParamBytes - 1) / kChoiceParamBytes *
           kChoiceParamBytes;
}
constexpr uint64_t history_at(const StepSizes& s) { return storage_bytes(s.max_timelines * sizeof(uint32_t)); }
/// One step's results; there are two, in different cache lines, because the host reads one while the other is written.
constexpr uint64_t ahead_results_bytes(const StepSizes& s) {
    return storage_bytes(s.max_timelines * kChoiceResultBytes);
}
/// Pages that are copied in one go: their numbers, and those of their slots in layers with a window.
inline constexpr uint32_t kPageCopiesPerRun = 16;
inline constexpr uint64_t kPageCopyBytes = 4 * kPageCopiesPerRun * sizeof(uint32_t);
/// The keys or the values of one layer, `width` elements per token (CacheShape).
uint64_t kv_side_bytes(uint32_t width, uint32_t n_ctx, Format format);

}  // namespace atlas
