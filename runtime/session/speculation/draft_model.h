#pragma once
// Draft tokens of a smaller model with the same vocabulary, on the same device.

#include <memory>

#include "runtime/session/single/session.h"
#include "runtime/session/speculation/speculator.h"

namespace atlas {

class DraftModel final : public Speculator {
  public:
    /// The session of the smaller model; one logit row is enough. `n_vocab`: of the larger model: ids beyond it are
    /// never proposed.
    DraftModel(std::unique_ptr<Session> session, uint32_t n_vocab);

    Result<void> begin(std::span<const uint32_t> timeline) override;
    Result<void> accept(uint32_t token) override;
    /// Proposes the most likely tokens, one after the other, after the timeline and what `proposal` holds, until the
    /// next one would probably not be reached any more. The device goes from token to token without the host.
    Result<void> propose(uint32_t most, Proposal& proposal) override;
    /// As propose, with the larger model's step after it in the same submission. The host cannot stop such a chain
    /// early. Whether that pays is learned from the recent draft tokens past the place where propose would have
    /// stopped, and from how many of them were accepted.
    Result<bool> queue(uint32_t n, const Proposal& before, const DraftPlace& place, QueuedDrafts& queued) override;
    Result<void> collect(Proposal& proposal) override;

    enum class Submission { whatever_pays, one, apart };
    /// For tests and measurements: one submission wherever it is possible, or never.
    void submit_as(Submission submission) { submission_ = submission; }

    double ms_per_token() const override { return ms_per_token_; }
    void priors(std::span<double> of_class) const override;
    bool can_draft() const override { return !stopped_; }
    Result<uint64_t> shrink(uint64_t bytes) override { return session_->shrink(bytes); }

  private:
    bool knows(const Proposal& proposal) const;
    bool one_submission_pays(uint32_t n) const;
    void learn_from_queued();

    std::unique_ptr<Session> session_;
    uint32_t n_vocab_;
    std::vector<uint32_t> timeline_;
    double ms_per_token_;
    Submission submission_ = Submission::whatever_pays;
    // recent average per block of draft tokens past the place where propose stops; less what they gained
    double wasted_ = 0;
    uint32_t n_queued_ = 0;      // draft tokens of the last queue, until their acceptance is known; 0: none
    uint32_t n_until_stop_ = 0;  // of those: the ones that propose would have made too
    size_t n_before_ = 0;        // tokens before them
    uint32_t n_in_a_row_ = 0;    // blocks since the cost of a draft token was measured
    bool stopped_ = false;       // it cannot follow any more: a token that it does not know, or its context is full
};

}  // namespace atlas
