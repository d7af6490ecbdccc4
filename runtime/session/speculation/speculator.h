#pragma once
// Proposes draft tokens. The model verifies them itself: a rejected one costs time and never changes the text.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "runtime/ops/backend.h"

namespace atlas {

/// Draft tokens and how strong the evidence for each is.
struct Proposal {
    std::vector<uint32_t> tokens;
    // [tokens.size()] below kEvidenceClasses: acceptance is measured for every class separately
    std::vector<uint8_t> evidence;

    void clear() {
        tokens.clear();
        evidence.clear();
    }
};

/// The words of a storage, one after the other, from which a step reads the tokens that it verifies.
struct DraftPlace {
    Backend* backend = nullptr;
    std::shared_ptr<Storage> words;
    uint32_t first = 0;  // word of the first draft token to be made; the words before it hold known tokens
};

/// Programs that write draft tokens. Submit them in this order, in one submission with the program that reads the
/// tokens.
struct QueuedDrafts {
    std::vector<Program*> programs;  // owned by the speculator; valid until it is next asked for draft tokens
    bool recorded = false;           // some had to be recorded for this call
};

inline constexpr uint32_t kEvidenceClasses = 24;
/// From this class on draft tokens cost a step of a model; the last class stands for all of these together before
/// they are made.
inline constexpr uint8_t kFirstCostlyEvidence = 16;
inline constexpr uint8_t kAnyCostlyEvidence = kEvidenceClasses - 1;

/// Not thread-safe.
class Speculator {
  public:
    virtual ~Speculator() = default;

    /// A timeline of these tokens begins. Fails: device errors (device_lost, out_of_memory, corrupt).
    virtual Result<void> begin(std::span<const uint32_t> timeline) = 0;
    /// The timeline grew by a token that will not be rolled back.
    virtual Result<void> accept(uint32_t token) = 0;
    /// Appends at most `most` tokens that may follow after those that `proposal` holds already.
    /// Fails: device errors (device_lost, out_of_memory, corrupt).
    virtual Result<void> propose(uint32_t most, Proposal& proposal) = 0;
    /// Replaces propose for speculators that draft on the device: queues `n` draft tokens after the timeline and
    /// `before`, to be written into words [place.first, place.first + n), each below what the place's owner knows as
    /// a token. The host reads them with collect, once they were made.
    /// False: it cannot, or prefers propose; nothing has happened then.
    /// Fails: device errors (device_lost, out_of_memory, corrupt).
    virtual Result<bool> queue(uint32_t /*n*/, const Proposal& /*before*/, const DraftPlace& /*place*/,
                               QueuedDrafts& /*queued*/) {
        return false;
    }
    /// Appends the draft tokens that were queued last, and have run, to `proposal`, which holds what `before` held.
    /// Not called if they did not run.
    virtual Result<void> collect(Proposal& /*proposal*/) { return {}; }
    /// What a draft token costs in milliseconds, as measured so far; 0: nothing worth counting, and its classes are
    /// below kFirstCostlyEvidence.
    virtual double ms_per_token() const { return 0; }
    /// Whether it can propose anything at present.
    virtual bool can_draft() const { return true; }
    /// Frees `bytes` of device memory, or as many as it can while the timeline stays, with some room after it. Call
    /// it between steps only; returns the bytes freed. Fails: device_lost, out_of_memory.
    virtual Result<uint64_t> shrink(uint64_t /*bytes*/) { return uint64_t{0}; }
    /// Writes the expected acceptance of its classes before anything was measured. of_class: [kEvidenceClasses]
    virtual void priors(std::span<double> of_class) const = 0;
};

}  // namespace atlas
