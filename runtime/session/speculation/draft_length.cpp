#include "runtime/session/speculation/draft_length.h"

#include <algorithm>

#include "runtime/base/check.h"

namespace atlas {

namespace {

// What may be lost: a third of the promised 3 %, because times of single steps scatter and the booking is only as
// good as they are.
constexpr double kLossShare = 0.01;
constexpr double kLossSteps = 1.5;
// For an answer that is known to be short: the rest of the 3 % is for costs that are not measured yet.
constexpr double kPromisedShare = 0.02;
// The least factor by which a width must be faster to be used.
constexpr double kLeastGain = 1.01;
// The extra cost per token beyond the first, in plain steps, until a width was measured. Low, so that the width is
// tried; the booking above bounds what that may cost.
constexpr double kAssumedSlope = 0.05;
// How many draft tokens back the acceptance rates remember, and how many draft tokens the prior is worth.
constexpr double kMemory = 0.98, kPriorWeight = 4;
// Forgetting, per plain token, of what is known of a draft model: after 140 half of it.
constexpr double kForget = 0.995;
// Plain tokens before the first block: the first one is recorded and does not count, and one of the others may have
// been delayed.
constexpr uint32_t kLeastPlain = 4;
// Blocks that may run before plain steps measure again what blocks cost relative to them; every accepted draft token
// allows one more, up to the second number.
constexpr double kFewBlocks = 4, kMostBlocks = 64;

constexpr size_t kPlain = 0;

// The kind of a width's steps in StepCosts.
size_t kind_of(uint32_t width) {
    const auto at = std::find(DraftLength::kWidths.begin(), DraftLength::kWidths.end(), width);
    ATLAS_CHECK(at != DraftLength::kWidths.end(), "a step of {} tokens", width);
    return 1 + static_cast<size_t>(at - DraftLength::kWidths.begin());
}

}  // namespace

DraftLength::DraftLength(std::span<const double> priors) : costs_(1 + kWidths.size(), kPlain) {
    ATLAS_CHECK_EQ(priors.size(), priors_.size());
    std::copy(priors.begin(), priors.end(), priors_.begin());
}

void DraftLength::plain_took(double ms) {
    ++n_plain_;
    blocks_left_ = std::max(blocks_left_, kFewBlocks);
    costs_.add(kPlain, ms);
    total_ += 1;
    // A class whose draft tokens are not proposed shows no acceptance: in time it gets another chance.
    shares_[kAnyCostlyEvidence].right *= kForget;
    shares_[kAnyCostlyEvidence].tried *= kForget;
}

void DraftLength::block_took(uint32_t width, uint32_t n_tokens, double ms, double draft_ms) {
    if (width > 1) blocks_left_ = std::min(blocks_left_ + n_tokens - 2, kMostBlocks);
    costs_.add(kind_of(width), ms);
    const double pace = costs_.pace_ms();
    if (pace == 0) return;
    // The median, not this step's time: a delay by the machine says nothing about speculation.
    const double spent = cost(width) + draft_ms / pace;
    total_ += spent;
    loss_ += spent - n_tokens;
}

void DraftLength::recording_took(double ms) {
    record_ms_ = ms;
    has_recorded_ = true;
    const double pace = costs_.pace_ms();
    if (pace == 0) return;
    total_ += ms / pace;
    loss_ += ms / pace;
}

void DraftLength::expect_recording(double ms) {
    if (!has_recorded_) record_ms_ = ms;
}

void DraftLength::look_ahead(uint32_t n_more, uint32_t recorded_widths) {
    n_more_ = n_more;
    recorded_widths_ = recorded_widths;
}

void DraftLength::draft_was(uint8_t evidence, bool right) {
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

// Measured, or interpolated linearly between measured neighbours, or beyond the widest extrapolated by the slope so
// far.
double DraftLength::cost(uint32_t width) const {
    const size_t kind = kind_of(width);
    // A block that seems cheaper than a plain step is a pair distorted by the machine's other work.
    if (costs_.measured(kind)) return std::max(1.0, costs_.cost(kind));
    double low_width = 1, low = 1, slope = kAssumedSlope;
    for (size_t i = 1; i < kWidths.size(); ++i) {
        if (!costs_.measured(1 + i)) continue;
        const double cost = std::max(1.0, costs_.cost(1 + i));
        slope = std::max(0.0, (cost - low) / (kWidths[i] - low_width));
        if (1 + i > kind) break;
        low_width = kWidths[i];
        low = cost;
    }
    return low + slope * (width - low_width);
}

bool DraftLength::is_known(uint32_t width) const { return costs_.known(kind_of(width)); }

uint32_t DraftLength::width_for(std::span<const uint8_t> evidence, uint32_t most, double ms_per_draft_token) const {
    if (fixed_width_ > 0) {
        const uint32_t limit = std::min({most, static_cast<uint32_t>(evidence.size()) + 1, fixed_width_});
        return *(std::upper_bound(kWidths.begin() + 1, kWidths.end(), limit) - 1);
    }
    if (n_plain_ < kLeastPlain || blocks_left_ < 0) return 1;
    // A failed block also pays for the return to plain steps.
    const double resume = std::max(0.0, cost(1) - 1);
    const double at_most = std::min(kLossShare * total_ + kLossSteps, kPromisedShare * (total_ + n_more_));
    const double may_lose = at_most - loss_ - resume;
    const double draft_token_cost = ms_per_draft_token / plain_ms();
    const double recording = record_ms_ / plain_ms();
    // Where an answer ends is not known; half-way is as good an assumption as any.
    const double follows = std::min<double>(n_more_, total_);
    // A width is tried after one of at least half of it.
    uint32_t widest = 4;
    for (size_t i = 1; i < kWidths.size(); ++i) {
        if (costs_.measured(1 + i)) widest = std::max(widest, 2 * kWidths[i]);
    }
    const uint32_t limit = std::min({most, static_cast<uint32_t>(evidence.size()) + 1, widest});
    uint32_t best = 1;
    double best_rate = kLeastGain;
    double chance = 1, tokens = 1;  // of all draft tokens so far being accepted; expected tokens
    uint32_t counted = 1;
    for (const uint32_t width : kWidths) {
        if (width > limit) break;
        for (; counted < width; ++counted) {
            chance *= right_share(evidence[counted - 1]);
            tokens += chance;
        }
        const double spent = cost(width) + (width - 1) * draft_token_cost;
        // A block whose cost rests on one or two pairs waits until it can be paired again.
        const bool may_run = costs_.known(kind_of(width)) || costs_.can_pair(kind_of(width));
        if (width == 1 || !may_run || tokens / spent <= best_rate) continue;
        const double to_record = (recorded_widths_ >> (kind_of(width) - 1) & 1) != 0 ? 0 : recording;
        if (spent - 1 + to_record > may_lose || follows * (1 - spent / tokens) < to_record) continue;
        best = width;
        best_rate = tokens / spent;
    }
    return best;
}

}  // namespace atlas
