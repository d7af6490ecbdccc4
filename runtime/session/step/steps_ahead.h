#pragma once
// Decoding one step ahead of the host: a token that the device chose goes straight into the next step, which is
// submitted before the host has read which token it was.

#include <vector>

#include "runtime/session/step/step_runner.h"

namespace atlas {

/// Between start() and the end (stop(), or next(false)) the runner runs nothing else. Not thread-safe.
class StepsAhead {
  public:
    explicit StepsAhead(StepRunner& runner);
    ~StepsAhead() { stop(); }
    StepsAhead(const StepsAhead&) = delete;
    StepsAhead& operator=(const StepsAhead&) = delete;

    /// Whether the device can choose by these options; penalties only for one timeline. The tokens are the host's.
    static bool can_choose(const StepRunner& runner, const SamplerOptions& options);

    /// Starts to choose from the last of the n_rows rows of logits of the last run, with the state that `sampler` has
    /// now. Requires can_choose(). Fails: device_lost, out_of_memory.
    Result<void> start(Timeline& timeline, const Sampler& sampler, uint32_t n_rows, bool logprobs);
    /// One sequence of many: its timeline, its tokens that are not in the timeline yet (at least one), and how the n-th
    /// next token is chosen: by sample_params() without penalties, with draw n_draws + n.
    struct Sequence {
        Timeline* timeline = nullptr;
        std::span<const TokenId> tokens;
        ChoiceParams params;
        uint64_t n_draws = 0;
    };
    /// Submits a step of these tokens; the timelines have reserved room for them. Fails: as above; limit (a timeline
    /// would be too long).
    Result<void> start(std::span<const Sequence> sequences);

    /// Waits for the next token of every sequence. With `go_on` and room for all their step is already running
    /// afterwards, and the tokens are the last of the timelines; without, nothing is running. Allocates and records
    /// nothing once two steps of this context bucket have run.
    /// Fails: device_lost, out_of_memory, limit. Afterwards only stop() may follow.
    Result<void> next(bool go_on);
    /// The token of sequence i. Fails: corrupt (damaged logits); the sequence is dropped then.
    Result<Choice> choice(size_t i) const;
    /// Its tokens are no longer wanted; the timeline is not used any more.
    void drop(size_t i) { sequences_[i].timeline = nullptr; }

    bool is_active() const { return is_active_; }
    bool is_running() const { return is_pending_; }
    size_t n_sequences() const { return sequences_.size(); }
    /// Waits until nothing runs, with no other effect. Fails: device_lost.
    Result<void> wait();
    /// Waits for the running step and drops its result: the tokens that were chosen last leave the timelines again.
    void stop();

  private:
    struct Chosen {
        Timeline* timeline = nullptr;  // null: dropped
        ChoiceParams params;
        uint64_t draw = 0;
    };
    Result<bool> reserve();
    Result<void> submit(StepKey key);
    Result<void> submit_step();

    StepRunner& runner_;
    std::vector<Chosen> sequences_;
    std::vector<StepItem> items_;
    std::vector<ChoiceParams> params_;
    std::vector<ChoiceResult> results_;
    uint64_t ticket_ = 0;
    StepPlace place_ = StepPlace::ahead_a;  // of the running step
    uint32_t n_history_ = 0;
    bool is_active_ = false;
    bool is_pending_ = false;   // a step or a choice is running
    bool has_stepped_ = false;  // the last tokens of the timelines were chosen here and their step is submitted
};

}  // namespace atlas
