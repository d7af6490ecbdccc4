#pragma once
// Draft tokens for many requests that decode in the same steps: where they come from, and how many a step verifies.

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "runtime/session/speculation/draft_length.h"
#include "runtime/session/speculation/draft_model.h"
#include "runtime/session/speculation/speculator.h"

namespace atlas {

/// One per engine. Not thread-safe.
class BatchSpeculation {
  public:
    using MakeLookup = std::function<std::unique_ptr<Speculator>()>;
    /// `make_lookup`: makes a lookup of its own for every request, or null; its draft tokens cost nothing. `draft`:
    /// or null. `draft_max`: most draft tokens per request and step.
    BatchSpeculation(MakeLookup make_lookup, std::unique_ptr<DraftModel> draft, uint32_t draft_max);

    struct Ask {
        uint64_t id = 0;
        std::span<const TokenId> tokens;  // prompt and answer so far
        uint32_t most = 0;
        Proposal proposal;  // filled
    };
    /// Proposes the draft tokens that seem worth verifying in the next step, for all answers in it, at most `room` in
    /// all. Fails: device errors (device_lost, out_of_memory, corrupt).
    Result<void> propose(std::span<Ask> asks, uint32_t room);
    /// Whether propose() would probably find draft tokens after one more token of each, which is not known yet.
    Result<bool> would_propose(std::span<Ask> asks, uint32_t room);
    /// Reports that the first n tokens of a proposal were accepted.
    void was_checked(const Proposal& proposal, uint32_t n_right);
    /// Reports a step of pure decode, for which the last propose() was.
    void step_took(uint32_t n_sequences, uint32_t n_columns, uint32_t n_tokens, double ms);
    void end(uint64_t id);
    /// As Speculator::shrink, for the draft model.
    Result<uint64_t> shrink(uint64_t bytes) { return draft_ ? draft_->shrink(bytes) : Result<uint64_t>(0); }

    DraftLength& length() { return length_; }

  private:
    struct Drafter {
        std::unique_ptr<Speculator> lookup;
        size_t n_told = 0;
    };
    Result<void> look_up(Ask& ask);
    Result<void> draft_for(std::span<Ask> asks, uint32_t room);

    MakeLookup make_lookup_;
    std::unique_ptr<DraftModel> draft_;
    uint32_t draft_max_;
    std::map<uint64_t, Drafter> drafters_;
    DraftLength length_;
    double draft_ms_ = 0;  // since the last step
};

}  // namespace atlas
