#pragma once
// Who guesses what comes next. A guess is checked by the model itself, so that it costs time when it is wrong and never changes the text.

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/error.h"

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
    /// What a guess costs in milliseconds, as measured so far; 0: nothing worth counting, and its classes are below kFirstCostlyEvidence.
    virtual double ms_per_token() const { return 0; }
    /// Whether it can guess at all as things stand.
    virtual bool can_guess() const { return true; }
    /// Writes how likely tokens of its classes are right before anything was measured. of_class: [kEvidenceClasses]
    virtual void priors(std::span<double> of_class) const = 0;
};

}  // namespace atlas
