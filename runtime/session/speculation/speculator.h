#pragma once
// Who guesses what comes next. A guess is checked by the model itself, so that it costs time when it is wrong and never changes the text.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "runtime/ops/backend.h"

namespace atlas {

/// Guessed tokens and how good the reason for each is.
struct Proposal {
    std::vector<uint32_t> tokens;
    std::vector<uint8_t> evidence;  // [tokens.size()] below kEvidenceClasses: the acceptance of every class is measured apart

    void clear() {
        tokens.clear();
        evidence.clear();
    }
};

/// Where a step reads the tokens that it checks: words of a storage, one behind the other.
struct DraftPlace {
    Backend* backend = nullptr;
    std::shared_ptr<Storage> words;
    uint32_t first = 0;  // word of the first guess that is to be made; the words before it hold what is known
};

/// Programs that write guesses when they are submitted, in this order, in one submission with what reads them.
struct QueuedDrafts {
    std::vector<Program*> programs;  // stay the speculator's; valid until it is asked for guesses again
    bool recorded = false;           // some had to be recorded for it
};

inline constexpr uint32_t kEvidenceClasses = 24;
/// From this class on guesses cost a model's step; the last one stands for all of these together, before they are made.
inline constexpr uint8_t kFirstCostlyEvidence = 16;
inline constexpr uint8_t kAnyCostlyEvidence = kEvidenceClasses - 1;

/// Not thread-safe.
class Speculator {
  public:
    virtual ~Speculator() = default;

    /// A timeline of these tokens begins. Fails: what a device can.
    virtual Result<void> begin(std::span<const uint32_t> timeline) = 0;
    /// The timeline grew by a token that will not be taken back.
    virtual Result<void> accept(uint32_t token) = 0;
    /// Puts at most `most` tokens that may follow behind those that `proposal` holds already. Fails: what a device can.
    virtual Result<void> propose(uint32_t most, Proposal& proposal) = 0;
    /// Instead of propose, for who can guess on the device: `n` guesses behind the timeline and what `before` holds, to be written into words
    /// [place.first, place.first + n), each below what the place's owner knows as a token. The host learns them by collect, once they were made.
    /// False: it cannot, or would rather propose; nothing has happened then. Fails: what a device can.
    virtual Result<bool> queue(uint32_t /*n*/, const Proposal& /*before*/, const DraftPlace& /*place*/, QueuedDrafts& /*queued*/) { return false; }
    /// Puts the guesses that were queued last, and ran, behind those that `proposal` holds: what `before` held. Not called if they did not run.
    virtual Result<void> collect(Proposal& /*proposal*/) { return {}; }
    /// What a guess costs in milliseconds, as measured so far; 0: nothing worth counting, and its classes are below kFirstCostlyEvidence.
    virtual double ms_per_token() const { return 0; }
    /// Whether it can guess at all as things stand.
    virtual bool can_draft() const { return true; }
    /// Gives so many bytes of the device back, or as many as can go while the timeline stays, with some room behind it. Between steps; returns the
    /// bytes. Fails: what a device can.
    virtual Result<uint64_t> shrink(uint64_t /*bytes*/) { return uint64_t{0}; }
    /// Writes how likely tokens of its classes are right before anything was measured. of_class: [kEvidenceClasses]
    virtual void priors(std::span<double> of_class) const = 0;
};

}  // namespace atlas
