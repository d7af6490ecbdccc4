#include "runtime/session/draft_length.h"

#include <algorithm>

#include "runtime/base/check.h"

namespace atlas {

namespace {

// What may be lost: a third of the promised 3 %, because times of single steps scatter and the booking is only as good as they are.
constexpr double kLossShare = 0.01;
constexpr double kLossTokens = 1.5;
// A gain must be worth the change of ways.
constexpr double kLeastGain = 1.01;
// Until a width was measured: what a step costs more per token beyond the first, in steps of one. Low, so that it is tried; the booking
// above bounds what that may cost.
constexpr double kGuessedSlope = 0.05;
// How many guesses back the shares remember, and how many guesses the prior is worth.
constexpr double kMemory = 0.98, kPriorWeight = 4;
// Per plain token, of what is known of a draft model: after 140 half of it.
constexpr double kForget = 0.995;
// Plain tokens before the first block: the first one is recorded and is no measure.
constexpr uint32_t kLeastPlain = 2;

size_t index_of(uint32_t width) {
    const auto at = std::find(DraftLength::kWidths.begin(), DraftLength::kWidths.end(), width);
    ATLAS_CHECK(at != DraftLength::kWidths.end(), "a step of {} tokens", width);
    return static_cast<size_t>(at - DraftLength::kWidths.begin());
}

}  // namespace

void DraftLength::Samples::add(double value) {
    values_[next_] = value;
    next_ = (next_ + 1) % kKept;
    n_ = std::min(n_ + 1, kKept);
}

double DraftLength::Samples::median() const {
    if (n_ == 0) return 0;
    // The one with as many below it as above, the lower of two.
    const size_t wanted = (n_ - 1) / 2;
    for (size_t i = 0; i < n_; ++i) {
        size_t below = 0, equal = 0;
        for (size_t k = 0; k < n_; ++k) {
            below += values_[k] < values_[i] ? 1 : 0;
            equal += values_[k] == values_[i] ? 1 : 0;
        }
        if (below <= wanted && wanted < below + equal) return values_[i];
    }
    return values_[0];
}

DraftLength::DraftLength(std::span<const double> priors) {
    ATLAS_CHECK_EQ(priors.size(), priors_.size());
    std::copy(priors.begin(), priors.end(), priors_.begin());
}

void DraftLength::plain_took(double ms) {
    ++n_plain_;
    plain_.add(ms);
    total_ms_ += ms;
    // Nobody sees whether guesses that are not made would be right: in time they get another chance.
    shares_[kAnyCostlyEvidence].right *= kForget;
    shares_[kAnyCostlyEvidence].tried *= kForget;
}

void DraftLength::block_took(uint32_t width, uint32_t n_tokens, double ms, double draft_ms) {
    widths_[index_of(width)].add(ms);
    total_ms_ += ms + draft_ms;
    if (plain_.empty()) return;
    // One step that the machine held up for another reason says nothing about speculation.
    loss_ms_ += std::min(ms, 2 * width_ms(width)) + draft_ms - n_tokens * plain_ms();
}

void DraftLength::guess_was(uint8_t evidence, bool right) {
    ATLAS_CHECK(evidence < kEvidenceClasses, "class {}", evidence);
    const auto count = [right](Share& share) {
        share.right = share.right * kMemory + (right ? 1 : 0);
        share.tried = share.tried * kMemory + 1;
    };
    count(shares_[evidence]);
    if (evidence >= kFirstCostlyEvidence && evidence < kAnyCostlyEvidence) count(shares_[kAnyCostlyEvidence]);
}

double DraftLength::right_share(uint8_t evidence) const {
    const Share& share = shares_[evidence];
    return (share.right + priors_[evidence] * kPriorWeight) / (share.tried + kPriorWeight);
}

// Measured, or on the line between its measured neighbours, or beyond the widest by the slope so far.
double DraftLength::width_ms(uint32_t width) const {
    const size_t index = index_of(width);
    if (!widths_[index].empty()) return widths_[index].median();
    double low_width = 1, low_ms = plain_ms(), slope = kGuessedSlope * plain_ms();
    for (size_t i = 1; i < kWidths.size(); ++i) {
        if (widths_[i].empty()) continue;
        const double ms = widths_[i].median();
        slope = std::max(0.0, (ms - low_ms) / (kWidths[i] - low_width));
        if (i > index) break;
        low_width = kWidths[i];
        low_ms = ms;
    }
    return low_ms + slope * (width - low_width);
}

uint32_t DraftLength::width_for(std::span<const uint8_t> evidence, uint32_t most, double ms_per_guess) const {
    if (fixed_width_ > 0) {
        const uint32_t limit = std::min({most, static_cast<uint32_t>(evidence.size()) + 1, fixed_width_});
        return *(std::upper_bound(kWidths.begin() + 1, kWidths.end(), limit) - 1);
    }
    if (n_plain_ < kLeastPlain) return 1;
    const double plain = plain_ms();
    // Behind a failure comes the way back, too.
    const double resume = widths_[0].empty() ? 0 : std::max(0.0, widths_[0].median() - plain);
    const double may_lose = kLossShare * total_ms_ + kLossTokens * plain - loss_ms_ - resume;
    // A width is tried after one of at least half of it.
    uint32_t widest = 4;
    for (size_t i = 1; i < kWidths.size(); ++i) {
        if (!widths_[i].empty()) widest = std::max(widest, 2 * kWidths[i]);
    }
    const uint32_t limit = std::min({most, static_cast<uint32_t>(evidence.size()) + 1, widest});
    uint32_t best = 1;
    double best_rate = kLeastGain / plain;
    double chance = 1, tokens = 1;  // of all guesses so far being right; expected tokens
    uint32_t counted = 1;
    for (const uint32_t width : kWidths) {
        if (width > limit) break;
        for (; counted < width; ++counted) {
            chance *= right_share(evidence[counted - 1]);
            tokens += chance;
        }
        const double ms = width_ms(width) + (width - 1) * ms_per_guess;
        if (width == 1 || ms - plain > may_lose || tokens / ms <= best_rate) continue;
        best = width;
        best_rate = tokens / ms;
    }
    return best;
}

}  // namespace atlas
