#pragma once
// Steps in which tokens of many timelines run together.

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "runtime/session/sampler.h"
#include "runtime/session/batch/timeline.h"

namespace atlas {

struct BatchShape {
    uint32_t pool_tokens = 0;    // keys and values in memory, of all timelines together; rounded up to whole pages
    uint32_t n_ctx = 0;          // longest timeline; 0: all of the pool
    uint32_t n_batch = 512;      // most tokens per step
    uint32_t max_outputs = 8;    // most logit rows per step, <= n_batch
    uint32_t max_timelines = 8;  // most timelines per step, <= n_batch
    KvFormats kv_format = {};
};

/// How the device is to choose from a row of logits: sample_params() without penalties.
using ChoiceParams = std::array<uint32_t, sampling::kParamWords>;

/// Tokens that go behind a timeline in a step; of the last n_outputs of them the logits are wanted, or what the device chooses from them.
struct BatchItem {
    Timeline* timeline = nullptr;  // of the runner's pool; not twice in a step
    std::span<const TokenId> tokens;
    uint32_t n_outputs = 0;
    std::span<const ChoiceParams> choices = {};  // [n_outputs], or empty: logits
};

/// Owns the pool and whatever a step needs. Not thread-safe; the backend and its scratch serve one running step at a time.
class BatchRunner {
  public:
    /// Takes all storages. Fails: invalid_argument (shape), out_of_memory (bytes needed, there, and what would fit), limit.
    static Result<std::unique_ptr<BatchRunner>> create(std::shared_ptr<const Model> model, const BatchShape& shape);
    ~BatchRunner();
    BatchRunner(const BatchRunner&) = delete;
    BatchRunner& operator=(const BatchRunner&) = delete;

    const BatchShape& shape() const { return shape_; }  // n_ctx and pool_tokens as planned
    const Model& model() const { return *model_; }
    KvPool& pool() { return *pool_; }

    /// Gives `bytes` of the pool back to the device, or as much as it can without `least_tokens`; `timelines`: every one of the pool. A timeline
    /// holds no more than the pool then. Between runs. Returns the bytes given back. Fails: as KvPool::shrink.
    Result<uint64_t> shrink(uint64_t bytes, uint32_t least_tokens, std::span<Timeline* const> timelines);

    /// Runs the items' tokens and appends them to their timelines, which have reserved room for them. On failure no timeline has changed.
    /// Requires: in sum at most n_batch tokens (at least one each), max_outputs outputs, max_timelines items; ids of the vocabulary.
    /// Fails: device_lost, out_of_memory; limit (an item would be longer than n_ctx).
    Result<void> run(std::span<const BatchItem> items);

    /// Of the last run, [n_outputs, n_vocab]: the rows that this item wanted. Valid until the next run. Requires an item without choices.
    std::span<const float> logits(size_t item) const;
    /// What the device chose from row `row` of the item's outputs. Requires an item with choices. Fails: corrupt (damaged logits).
    Result<TokenId> chosen(size_t item, uint32_t row) const;
    /// Whether the device can choose by such options; else the host samples from logits. The tokens are the same.
    bool can_choose(const SamplerOptions& options) const;

    struct Counts {
        uint64_t steps = 0;
        uint64_t timelines = 0;         // summed over steps
        uint64_t tokens = 0;            // that were asked for
        uint64_t padded_tokens = 0;     // that ran besides them, so that fewer shapes are recorded
        uint64_t recordings = 0;
        uint64_t shared_positions = 0;  // summed over steps of several timelines: positions that all of them read from the same pages
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
    std::vector<uint32_t> step_words_;    // what goes into the step storage
    std::vector<uint32_t> page_table_;    // [max_timelines, max_pages] what is in the page table's storage
    std::vector<uint32_t> first_row_;     // per item of the last run, into the logits
    std::vector<uint32_t> n_rows_;
    std::vector<float> logits_;           // [max_outputs, n_vocab]; rows of items with choices are not read
    std::vector<ChoiceParams> choices_;   // [max_outputs]
    std::vector<std::array<uint32_t, sampling::kResultWords>> chosen_;  // [max_outputs]
    std::vector<RecordedStep> recorded_;  // a small LRU
    uint64_t n_uses_ = 0;
    Counts counts_;
};

/// How many positions from the start all of these timelines read from the same pages. Whole pages.
uint32_t positions_in_common(std::span<const BatchItem> items);

/// Steps are recorded for 1 .. 8 tokens, then for four sizes between powers of two: the smallest such that is not below n.
uint32_t step_size_bucket(uint32_t n);

}  // namespace atlas
