#pragma once
// Guesses for many requests whose answers share steps: who makes them, and how many of them a step checks.

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "runtime/session/batch/batch_runner.h"
#include "runtime/session/speculation/draft_length.h"
#include "runtime/session/speculation/speculator.h"

namespace atlas {

/// What steps of so many columns cost, and what guesses in them bring. Pure: knows no clock and no device.
/// As DraftLength it keeps books: draft tokens may lose at most 1 % of what was spent so far and one and a half steps without them, and costs are
/// medians of pairs of neighbouring steps.
class BatchLength {
  public:
    /// `priors`: [kEvidenceClasses], as DraftLength.
    explicit BatchLength(std::span<const double> priors) : shares_(priors) {}

    /// A step of n_sequences answers and n_columns - n_sequences guesses gave n_tokens tokens; making the guesses took draft_ms of it.
    void step_took(uint32_t n_sequences, uint32_t n_columns, uint32_t n_tokens, double ms, double draft_ms);
    void draft_was(uint8_t evidence, bool right) { shares_.draft_was(evidence, right); }

    /// How many guesses of each sequence to check, at most `room` in all. Those that are likeliest to be reached and right go first.
    std::vector<uint32_t> counts(std::span<const Proposal> of_sequences, uint32_t room) const;
    /// How many guesses per sequence a draft should make that takes `ms_per_round` for one guess of each of `n_asking` of the sequences.
    uint32_t rounds(uint32_t n_sequences, uint32_t n_asking, uint32_t room, double ms_per_round) const;
    /// From now on as many as there is room for, whatever that costs: for tests and measurements.
    void fill_always() { always_ = true; }

    /// Of a step of so many columns against the first that ran: measured, or interpolated from what is measured nearby; 0: nothing is.
    double cost_of(uint32_t n_columns) const;
    double loss() const { return loss_; }

  private:
    bool may_cost(uint32_t n_sequences, double extra) const;
    /// Whether the step's cost was measured, not interpolated.
    bool is_measured(uint32_t n_columns) const;
    /// Whether a step with draft tokens is worth running: its cost is known, or this run would show it.
    bool may_run(uint32_t n_columns) const;

    StepCosts costs_{kBatchInvariantWidth + 1};  // by columns
    DraftLength shares_;
    double total_ = 0, loss_ = 0;  // in steps of the kind that ran first
    bool always_ = false;
};

/// Guesses of a smaller model for many timelines at once: a step of it holds one token of each.
class BatchDraft {
  public:
    /// `n_vocab`: of the larger model: what lies beyond is never guessed.
    BatchDraft(std::unique_ptr<BatchRunner> runner, uint32_t n_vocab) : runner_(std::move(runner)), n_vocab_(n_vocab) {}

    struct Ask {
        uint64_t id = 0;
        std::span<const TokenId> tokens;
        Proposal* proposal = nullptr;  // empty
    };
    /// `rounds` guesses for each; fewer where a context or the pool is full. Fails: what a device can.
    Result<void> propose(std::span<const Ask> asks, uint32_t rounds);
    void end(uint64_t id) { timelines_.erase(id); }
    /// As Speculator::shrink; all timelines together have kLeastRoomTokens more.
    Result<uint64_t> shrink(uint64_t bytes);
    static constexpr uint32_t kLeastRoomTokens = 256;
    uint32_t most_asks() const { return runner_->shape().max_timelines; }
    /// Of the steps behind the one that reads what is new; 0: not measured yet.
    double ms_per_round() const { return round_ms_.median(); }
    /// What the rounds of the last propose() took; reading prompts and recording is no part of what a guess costs.
    double last_ms() const { return last_ms_; }

  private:
    struct Reader {
        Timeline* timeline = nullptr;
        std::vector<TokenId> tokens;  // to run
        Proposal* proposal = nullptr;
    };
    Result<bool> catch_up(const Ask& ask, Reader& reader);
    Result<void> round(std::vector<Reader>& readers);

    std::unique_ptr<BatchRunner> runner_;
    uint32_t n_vocab_;
    std::map<uint64_t, Timeline> timelines_;
    RecentMedian round_ms_;
    double last_ms_ = 0;
};

/// One for an engine. Not thread-safe.
class BatchSpeculation {
  public:
    using MakeLookup = std::function<std::unique_ptr<Speculator>()>;
    /// `make_lookup`: for every request one of its own, or nobody; its guesses cost nothing. `draft`: or nobody. `draft_max`: most guesses
    /// per request and step.
    BatchSpeculation(MakeLookup make_lookup, std::unique_ptr<BatchDraft> draft, uint32_t draft_max);

    struct Ask {
        uint64_t id = 0;
        std::span<const TokenId> tokens;  // prompt and answer so far
        uint32_t most = 0;
        Proposal proposal;                // filled
    };
    /// Guesses that seem worth checking in the next step, of all answers in it, at most `room` in all. Fails: what a device can.
    Result<void> propose(std::span<Ask> asks, uint32_t room);
    /// Of a proposal so many from its start were right.
    void was_checked(const Proposal& proposal, uint32_t n_right);
    /// A step of answers alone, of which the last propose() was for.
    void step_took(uint32_t n_sequences, uint32_t n_columns, uint32_t n_tokens, double ms);
    void end(uint64_t id);
    /// As Speculator::shrink, of the draft.
    Result<uint64_t> shrink(uint64_t bytes) { return draft_ ? draft_->shrink(bytes) : Result<uint64_t>(0); }

    BatchLength& length() { return length_; }

  private:
    struct Drafter {
        std::unique_ptr<Speculator> lookup;
        size_t n_told = 0;
    };
    Result<void> look_up(Ask& ask);
    Result<void> draft_for(std::span<Ask> asks, uint32_t room);

    MakeLookup make_lookup_;
    std::unique_ptr<BatchDraft> draft_;
    uint32_t draft_max_;
    std::map<uint64_t, Drafter> drafters_;
    BatchLength length_;
    double draft_ms_ = 0;  // since the last step
};

}  // namespace atlas
