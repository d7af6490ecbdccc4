#pragma once
// Runs tokens of one or many timelines together in one step.

#include <memory>
#include <span>
#include <vector>

#include "runtime/session/step/program_cache.h"
#include "runtime/session/step/step_tables.h"

namespace atlas {

/// One timeline alone: steps are recorded for exactly their tokens, and the pool has no index of pages.
enum class Serves { one, many };

/// Owns the pool and everything else that a step needs. Not thread-safe; the backend and its scratch serve one
/// running step at a time.
class StepRunner {
  public:
    /// Allocates all storages. Fails: invalid_argument (shape), out_of_memory (bytes needed, there, and what would
    /// fit), limit.
    static Result<std::unique_ptr<StepRunner>> create(std::shared_ptr<const Model> model, const SessionShape& shape,
                                                      Serves serves = Serves::many);
    ~StepRunner();
    StepRunner(const StepRunner&) = delete;
    StepRunner& operator=(const StepRunner&) = delete;

    const SessionShape& shape() const { return shape_; }  // n_ctx and pool_tokens as planned
    const MemoryPlan& plan() const { return plan_; }
    const Model& model() const { return *model_; }
    /// Most tokens of a step, all items together, that can be refused afterwards: outputs, and states where layers have
    /// them.
    uint32_t most_verified() const { return states_.n_rows; }
    KvPool& pool() { return *pool_; }

    /// Shrinks the pool by `bytes`, or as far as it can while `least_tokens` still fit, and returns that memory to
    /// the device. `timelines`: every timeline of the pool; none can be longer than the smaller pool. Call it between
    /// runs only; of steps ahead one may be under way, if it was waited for. Returns the bytes freed. Fails: as
    /// KvPool::shrink.
    Result<uint64_t> shrink(uint64_t bytes, uint32_t least_tokens, std::span<Timeline* const> timelines);

    /// Runs the items' tokens and appends them to their timelines, which have reserved room for them. On failure no
    /// timeline has changed. `before`: programs to run first, in the same submission; they write the drafted tokens
    /// of the items. A timeline with drafted tokens stays as it is: append() its tokens once the host has read them.
    /// Requires: in sum at most n_batch tokens (at least one each), max_outputs outputs, max_timelines items; ids of
    /// the vocabulary.
    /// Fails: device_lost, out_of_memory; limit (an item would be longer than n_ctx).
    Result<void> run(std::span<const StepItem> items, std::span<Program* const> before = {});

    /// The logits of this item's outputs in the last run, [n_outputs, n_vocab], read from the device on first use.
    /// Valid until the next run.
    std::span<const float> logits(size_t item) const;
    /// What the device chose from row `row` of the item's outputs. Requires an item with choices. Fails: corrupt
    /// (damaged logits).
    Result<TokenId> chosen(size_t item, uint32_t row) const;
    /// Whether the device can choose by these options; otherwise the host samples from logits. The tokens are the
    /// same.
    bool can_choose(const SamplerOptions& options) const;

    /// A step of one timeline as run() would record it.
    StepKey key_for(uint32_t n_tokens, uint32_t n_outputs, uint32_t n_keys, bool chooses) const;
    bool has_program(const StepKey& key) const { return steps_.has(key); }
    /// Records the step's program if it is not there: then true.
    Result<bool> prepare(const StepKey& key);
    /// How many keys a step is recorded for whose longest timeline has n_keys.
    uint32_t kv_bucket(uint32_t n_keys) const;

    // Draft tokens for a step of another runner of the same backend; they go there without the host
    // (drafting_steps.cpp).

    /// The words that an item's drafted tokens are read from in the next run of one item, after n_known tokens.
    DraftPlace draft_place(uint32_t n_known) const { return tables_.draft_place(n_known); }
    /// Appends to `queued` the programs that run `tokens` (or none: then the last run's last logits count) after the
    /// timeline and then choose n draft tokens, each the likeliest token with an id below n_known_ids after the one
    /// before, into words [place.first, place.first + n). Submit them in this order, before those that read the
    /// words. The timeline has reserved room for the tokens and n - 1 more, and stays as it is. Requires place.first >
    /// 0 and at most kBatchInvariantWidth words. Fails: device_lost, out_of_memory.
    Result<void> queue_drafts(Timeline& timeline, std::span<const TokenId> tokens, uint32_t n, uint32_t n_known_ids,
                              const DraftPlace& place, QueuedDrafts& queued);
    /// The chosen draft tokens, once the programs have run. Fails: corrupt (damaged logits).
    Result<void> read_drafts(std::span<Choice> draft_tokens) const;

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
    friend class StepsAhead;

    StepRunner(std::shared_ptr<const Model> model, const SessionShape& shape, Serves serves);
    Result<void> allocate();
    Result<void> check(std::span<const StepItem> items) const;
    StepKey key_of(std::span<const StepItem> items) const;
    Result<Program*> program_for(const StepKey& key);
    void record(const StepKey& key, Ops& ops) const;
    void write_choices(std::span<const StepItem> items, const StepKey& key);
    void count(std::span<const StepItem> items, const StepKey& key);

    std::shared_ptr<const Model> model_;
    SessionShape shape_;
    StateCounts states_;
    Serves serves_;
    MemoryPlan plan_;
    std::unique_ptr<KvPool> pool_;
    StepTables tables_;
    ProgramCache steps_, drafting_steps_;
    std::vector<uint32_t> n_rows_;  // per item of the last run
    mutable std::vector<bool> is_read_;
    mutable std::vector<float> logits_;  // [max_outputs, n_vocab]
    std::vector<ChoiceParams> params_;   // [max_outputs]
    std::vector<ChoiceResult> results_;  // [max_outputs]
    uint32_t first_draft_ = 0;           // word of the first draft token that was queued last
    Counts counts_;
};

}  // namespace atlas
