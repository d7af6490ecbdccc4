#pragma once
// Runs tokens of many timelines together in one step.

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "runtime/session/batch/timeline.h"
#include "runtime/session/sampler.h"

namespace atlas {

struct BatchShape {
    uint32_t pool_tokens = 0;    // capacity of the KV cache, all timelines together; rounded up to whole pages
    uint32_t n_ctx = 0;          // longest timeline; 0: all of the pool
    uint32_t n_batch = 512;      // most tokens per step
    uint32_t max_outputs = 8;    // most logit rows per step, <= n_batch
    uint32_t max_timelines = 8;  // most timelines per step, <= n_batch
    KvFormats kv_format = {};
};

/// How the device chooses from a row of logits: sample_params() without penalties.
using ChoiceParams = std::array<uint32_t, sampling::kParamWords>;

/// Tokens to append to a timeline in a step. The step returns the logits of the last n_outputs of them, or the tokens
/// that the device chooses from those logits.
struct BatchItem {
    Timeline* timeline = nullptr;  // of the runner's pool; at most once in a step
    std::span<const TokenId> tokens;
    uint32_t n_outputs = 0;
    std::span<const ChoiceParams> choices = {};  // [n_outputs], or empty: logits
};

/// Owns the pool and everything else that a step needs. Not thread-safe; the backend and its scratch serve one
/// running step at a time.
class BatchRunner {
  public:
    /// Allocates all storages. Fails: invalid_argument (shape), out_of_memory (bytes needed, there, and what would
    /// fit), limit.
    static Result<std::unique_ptr<BatchRunner>> create(std::shared_ptr<const Model> model, const BatchShape& shape);
    ~BatchRunner();
    BatchRunner(const BatchRunner&) = delete;
    BatchRunner& operator=(const BatchRunner&) = delete;

    const BatchShape& shape() const { return shape_; }  // n_ctx and pool_tokens as planned
    const Model& model() const { return *model_; }
    KvPool& pool() { return *pool_; }

    /// Shrinks the pool by `bytes`, or as far as it can while `least_tokens` still fit, and returns that memory to
    /// the device. `timelines`: every timeline of the pool; none can be longer than the smaller pool. Call it between
    /// runs only. Returns the bytes freed. Fails: as KvPool::shrink.
    Result<uint64_t> shrink(uint64_t bytes, uint32_t least_tokens, std::span<Timeline* const> timelines);

    /// Runs the items' tokens and appends them to their timelines, which have reserved room for them. On failure no
    /// timeline has changed.
    /// Requires: in sum at most n_batch tokens (at least one each), max_outputs outputs, max_timelines items; ids of
    /// the vocabulary.
    /// Fails: device_lost, out_of_memory; limit (an item would be longer than n_ctx).
    Result<void> run(std::span<const BatchItem> items);

    /// The logits of this item's outputs in the last run, [n_outputs, n_vocab]. Valid until the next run. Requires an
    /// item without choices.
    std::span<const float> logits(size_t item) const;
    /// What the device chose from row `row` of the item's outputs. Requires an item with choices. Fails: corrupt
    /// (damaged logits).
    Result<TokenId> chosen(size_t item, uint32_t row) const;
    /// Whether the device can choose by these options; otherwise the host samples from logits. The tokens are the
    /// same.
    bool can_choose(const SamplerOptions& options) const;

    struct Counts {
        uint64_t steps = 0;
        uint64_t timelines = 0;      // summed over steps
        uint64_t tokens = 0;         // that callers asked for
        uint64_t padded_tokens = 0;  // added to a step so that fewer shapes are recorded
        uint64_t recordings = 0;
        uint64_t shared_positions =
            0;  // summed over steps of several timelines: positions that all of them read from the same pages
    };
    const Counts& counts() const { return counts_; }

  private:
    struct StepKey {
        uint32_t n_tokens = 0;
        uint32_t n_outputs = 0;
        uint32_t max_kv_tokens = 0;
        bool chooses = false;
        bool operator==(const StepKey&) const = default;
    };
    struct RecordedStep {
        StepKey key;
        uint64_t last_use = 0;
        std::unique_ptr<Program> program;
    };

    BatchRunner(std::shared_ptr<const Model> model, const BatchShape& shape);
    Result<void> allocate();
    Result<void> check(std::span<const BatchItem> items) const;
    StepKey key_of(std::span<const BatchItem> items) const;
    uint32_t kv_bucket(uint32_t n_kv_tokens) const;
    StepViews views_of(const StepKey& key) const;
    Result<Program*> program_for(const StepKey& key);
    void write_step(std::span<const BatchItem> items, const StepKey& key);
    void write_pages(std::span<const BatchItem> items);
    void write_choices(std::span<const BatchItem> items, const StepKey& key);
    void read_outputs(std::span<const BatchItem> items, const StepKey& key);
    SampleTables choice_tables(const StepKey& key) const;

    std::shared_ptr<const Model> model_;
    BatchShape shape_;
    uint32_t max_pages_ = 0;  // of one timeline
    std::unique_ptr<KvPool> pool_;
    std::unique_ptr<Storage> step_storage_, page_table_storage_, output_storage_;
    std::unique_ptr<Storage> choice_storage_, chosen_storage_;  // [max_outputs] parameters, results
    std::vector<uint32_t> step_words_;                          // copied into the step storage
    std::vector<uint32_t> page_table_;  // [max_timelines, max_pages] what the page table's storage holds
    std::vector<uint32_t> first_row_;   // per item of the last run, into the logits
    std::vector<uint32_t> n_rows_;
    std::vector<float> logits_;          // [max_outputs, n_vocab]; rows of items with choices are not read back
    std::vector<ChoiceParams> choices_;  // [max_outputs]
    std::vector<std::array<uint32_t, sampling::kResultWords>> chosen_;  // [max_outputs]
    std::vector<RecordedStep> recorded_;                                // a small LRU
    uint64_t n_uses_ = 0;
    Counts counts_;
};

/// How many positions from the start all of these timelines read from the same pages. Whole pages.
uint32_t positions_in_common(std::span<const BatchItem> items);

/// The number of tokens that a step for n tokens is recorded for: the smallest size >= n, where the sizes are 1 .. 8
/// and then four between powers of two.
uint32_t step_size_bucket(uint32_t n);

}  // namespace atlas
