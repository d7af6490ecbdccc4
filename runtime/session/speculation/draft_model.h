#pragma once
// Draft tokens of a smaller model with the same vocabulary, for one text or for many in the same steps.

#include <map>
#include <memory>

#include "runtime/session/speculation/speculator.h"
#include "runtime/session/speculation/step_costs.h"
#include "runtime/session/step/steps_ahead.h"

namespace atlas {

/// As a Speculator it drafts for one text; propose_for() serves many, each with an id of its own.
class DraftModel final : public Speculator {
  public:
    /// The runner of the smaller model. `n_vocab`: of the larger model: ids beyond it are never proposed.
    DraftModel(std::unique_ptr<StepRunner> runner, uint32_t n_vocab);

    Result<void> begin(std::span<const uint32_t> timeline) override;
    Result<void> accept(uint32_t token) override;
    /// Proposes the most likely tokens, one after the other, after the timeline and what `proposal` holds, until the
    /// next one would probably not be reached any more. The device goes from token to token without the host.
    Result<void> propose(uint32_t most, Proposal& proposal) override;
    /// As propose, with the larger model's step after it in the same submission, where that is on the same backend. The
    /// host cannot stop such a chain early. Whether that pays is learned from the recent draft tokens past the place
    /// where propose would have stopped, and from how many of them were accepted.
    Result<bool> queue(uint32_t n, const Proposal& before, const DraftPlace& place, QueuedDrafts& queued) override;
    Result<void> collect(Proposal& proposal) override;
    double ms_per_token() const override { return ms_per_token_; }
    void priors(std::span<double> of_class) const override;
    bool can_draft() const override { return !stopped_; }
    /// All timelines together keep room for kLeastRoomTokens more.
    Result<uint64_t> shrink(uint64_t bytes) override;
    static constexpr uint32_t kLeastRoomTokens = 256;

    struct Ask {
        uint64_t id = 0;  // not kOwn
        std::span<const TokenId> tokens;
        Proposal* proposal = nullptr;  // draft tokens are appended to those that it holds
    };
    /// Proposes at most `rounds` draft tokens for each; fewer where one would probably not be reached, or where a
    /// context or the pool is full. A step holds one token of each.
    /// Fails: device errors (device_lost, out_of_memory, corrupt).
    Result<void> propose_for(std::span<const Ask> asks, uint32_t rounds);
    void end(uint64_t id) { timelines_.erase(id); }
    uint32_t most_asks() const { return runner_->shape().max_timelines; }
    /// Time of one round of propose_for(); 0: not measured yet.
    double ms_per_round() const { return round_ms_.median(); }
    /// What the rounds of the last propose_for() took, without prefill and recording, which are not part of a draft
    /// token's cost.
    double last_ms() const { return last_ms_; }

    enum class Submission { whatever_pays, one, apart };
    /// For tests and measurements: one submission wherever it is possible, or never.
    void submit_as(Submission submission) { submission_ = submission; }
    const StepRunner& runner() const { return *runner_; }
    /// Of the text that it drafts for as a Speculator: the tokens whose K and V are in its cache.
    const std::vector<TokenId>& cached_tokens() const;

  private:
    static constexpr uint64_t kOwn = 0;
    struct Reader {
        Timeline* timeline = nullptr;
        std::vector<TokenId> tokens;  // to run
        Proposal* proposal = nullptr;
        double chance = 1;  // that all its draft tokens are accepted; 0: no more are wanted
    };
    Result<bool> catch_up(uint64_t id, std::span<const TokenId> tokens, size_t most_left, Reader& reader);
    Result<uint32_t> draft(std::vector<Reader>& readers, uint32_t rounds);
    bool knows(std::span<const TokenId> tokens) const;
    bool one_submission_pays(uint32_t n) const;
    void learn_from_queued();

    std::unique_ptr<StepRunner> runner_;
    uint32_t n_vocab_;
    std::map<uint64_t, Timeline> timelines_;  // kOwn: of the text that it drafts for as a Speculator
    StepsAhead ahead_;                        // destroyed before the timelines
    RecentMedian round_ms_;
    double last_ms_ = 0;

    std::vector<uint32_t> text_;  // of kOwn, what is accepted
    double ms_per_token_;
    Submission submission_ = Submission::whatever_pays;
    // recent average per block of draft tokens past the place where propose stops; less what they gained
    double wasted_ = 0;
    std::vector<TokenId> queued_tokens_;  // of the last queue: what was to run before its draft tokens
    uint32_t n_queued_ = 0;               // draft tokens of the last queue, until their acceptance is known; 0: none
    uint32_t n_until_stop_ = 0;           // of those: the ones that propose would have made too
    size_t n_before_ = 0;                 // tokens before them
    uint32_t n_in_a_row_ = 0;             // blocks since the cost of a draft token was measured
    bool stopped_ = false;  // it cannot follow any more: a token that it does not know, or its context is full
};

}  // namespace atlas
