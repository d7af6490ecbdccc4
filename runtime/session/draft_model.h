#pragma once
// Guesses of a smaller model with the same vocabulary, on the same device.

#include <memory>

#include "runtime/session/session.h"
#include "runtime/session/speculator.h"

namespace atlas {

class DraftModel final : public Speculator {
  public:
    /// The session of the smaller model, one logit row is enough. `n_vocab`: of the larger one: what lies beyond is never guessed.
    DraftModel(std::unique_ptr<Session> session, uint32_t n_vocab);

    Result<void> begin(std::span<const uint32_t> timeline) override;
    Result<void> accept(uint32_t token) override;
    /// Behind the timeline and what `proposal` holds, the most likely tokens one after the other, until the next one would probably not be
    /// reached any more. The device goes from token to token without the host.
    Result<void> propose(uint32_t most, Proposal& proposal) override;
    double ms_per_token() const override { return ms_per_token_; }
    void priors(std::span<double> of_class) const override;
    bool can_guess() const override { return !stopped_; }

  private:
    std::unique_ptr<Session> session_;
    uint32_t n_vocab_;
    std::vector<uint32_t> timeline_;
    double ms_per_token_;
    bool stopped_ = false;  // it cannot follow any more: a token that it does not know, or its context is full
};

}  // namespace atlas
