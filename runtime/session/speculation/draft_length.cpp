#include "runtime/session/speculation/draft_length.h"

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/model/memory_plan.h"

namespace atlas {

namespace {

// What may be lost: a third of the promised 3 %, because times of single steps scatter and the booking is only as
// good as they are.
constexpr double kLossShare = 0.01;
constexpr double kLossSteps = 1.5;
// For an answer that is known to be short: the rest of the 3 % is for costs that are not measured yet.
constexpr double kPromisedShare = 0.02;
// The least factor by which a step must be faster to be used.
constexpr double kLeastGain = 1.01;
// The extra cost per column, in steps, until a size was measured. Low, so that the size is tried; the booking above
// bounds what that may cost.
constexpr double kAssumedSlope = 0.05;
// How many draft tokens back the acceptance rates remember, and how many draft tokens the prior is worth.
constexpr double kMemory = 0.98, kPriorWeight = 4;
// Forgetting, per plain token, of what is known of a draft model: after 140 half of it.
constexpr double kForget = 0.995;
// Plain steps before the first block: the first one is recorded and does not count, and one of the others may have
// been delayed.
constexpr uint32_t kLeastPlain = 4;
// Blocks that may run before plain steps measure again what blocks cost relative to them; every accepted draft token
// allows one more, up to the second number.
constexpr double kFewBlocks = 4, kMostBlocks = 64;
// Draft tokens per sequence that a model makes for many sequences.
constexpr uint32_t kMostRounds = 8;

constexpr size_t kResuming = 0;

// A step costs what the size costs that it is recorded for.
uint32_t runs_as(uint32_t n_columns) {
    ATLAS_CHECK(n_columns >= 1 && n_columns <= kBatchInvariantWidth, "a step of {} columns", n_columns);
    return std::min(step_size_bucket(n_columns), kBatchInvariantWidth);
}

std::optional<uint32_t> index_of(uint32_t width) {
    const auto at = std::find(DraftLength::kWidths.begin(), DraftLength::kWidths.end(), width);
    if (at == DraftLength::kWidths.end()) return std::nullopt;
    return static_cast<uint32_t>(at - DraftLength::kWidths.begin());
}

}  // namespace

DraftLength::DraftLength(std::span<const double> priors, std::optional<uint32_t> unit_columns)
    : costs_(1 + kBatchInvariantWidth, unit_columns) {
    ATLAS_CHECK_EQ(priors.size(), priors_.size());
    std::copy(priors.begin(), priors.end(), priors_.begin());
}

void DraftLength::step_took(uint32_t n_sequences, uint32_t n_columns, uint32_t n_tokens, double ms, double draft_ms) {
    ATLAS_CHECK(n_sequences >= 1 && n_columns >= n_sequences, "{} columns for {} sequences", n_columns, n_sequences);
    if (n_columns > kBatchInvariantWidth) return;
    costs_.add(runs_as(n_columns), ms);
    const bool is_plain = n_columns == n_sequences;
    if (is_plain) {
        ++n_plain_;
        blocks_left_ = std::max(blocks_left_, kFewBlocks);
        // A class whose draft tokens are not proposed shows no acceptance: in time it gets another chance.
        shares_[kAnyCostlyEvidence].right *= kForget;
        shares_[kAnyCostlyEvidence].tried *= kForget;
    } else {
        blocks_left_ = std::min(blocks_left_ + n_tokens - n_sequences - 1, kMostBlocks);
    }
    const double pace = costs_.pace_ms();
    if (pace == 0) return;
    // The median, not this step's time: a delay by the machine says nothing about speculation.
    const double spent = cost(n_columns) + draft_ms / pace;
    total_ += spent;
    loss_ += is_plain ? draft_ms / pace : spent - cost(n_sequences) * n_tokens / n_sequences;
}

void DraftLength::resuming_took(double ms, double draft_ms) {
    costs_.add(kResuming, ms);
    const double pace = costs_.pace_ms();
    if (pace == 0) return;
    const double spent = resuming_cost() + draft_ms / pace;
    total_ += spent;
    loss_ += spent - cost(1);
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

// Linear between measured neighbours; below the smallest as that; beyond the largest extrapolated by the slope so far.
double DraftLength::cost(uint32_t n_columns) const {
    const uint32_t size = runs_as(n_columns);
    uint32_t low_size = 1;
    while (low_size <= kBatchInvariantWidth && !costs_.measured(low_size)) ++low_size;
    if (low_size > kBatchInvariantWidth) return 0;
    // A block that seems cheaper than a step without draft tokens is a pair distorted by the machine's other work.
    const double least = costs_.cost(low_size);
    if (costs_.measured(size)) return std::max(least, costs_.cost(size));
    if (size < low_size) return least;
    double low = least, slope = kAssumedSlope * least;
    for (uint32_t next = low_size + 1; next <= kBatchInvariantWidth; ++next) {
        if (!costs_.measured(next)) continue;
        const double cost = std::max(least, costs_.cost(next));
        slope = std::max(0.0, (cost - low) / (next - low_size));
        if (next > size) break;
        low_size = next;
        low = cost;
    }
    return low + slope * (size - low_size);
}

double DraftLength::resuming_cost() const {
    return costs_.measured(kResuming) ? std::max(cost(1), costs_.cost(kResuming)) : cost(1);
}

bool DraftLength::is_known(uint32_t n_columns) const { return costs_.known(runs_as(n_columns)); }

bool DraftLength::is_resuming_known() const { return costs_.known(kResuming); }

bool DraftLength::may_draft(uint32_t n_sequences) const {
    return n_sequences >= 1 && n_sequences < kBatchInvariantWidth && n_plain_ >= kLeastPlain && blocks_left_ >= 0 &&
           costs_.measured(runs_as(n_sequences));
}

DraftLength::Limits DraftLength::limits(uint32_t n_sequences) const {
    Limits limits{.n_sequences = n_sequences};
    limits.plain = cost(n_sequences);
    limits.per_token = limits.plain / n_sequences;
    // A failed block of one sequence also pays for the return to plain steps.
    const double resume = n_sequences == 1 ? resuming_cost() - limits.plain : 0;
    const double at_most = std::min(kLossShare * total_ + kLossSteps * limits.plain,
                                    kPromisedShare * (total_ + n_more_ * limits.per_token));
    limits.may_lose = at_most - loss_ - resume;
    // A size is tried after one of at least half of it.
    limits.widest = 4;
    for (uint32_t n = 1; n <= kBatchInvariantWidth; ++n) {
        if (costs_.measured(n)) limits.widest = std::max(limits.widest, 2 * n);
    }
    return limits;
}

// `spent`: the cost of the step and its draft tokens; `tokens`: how many it produces on average.
bool DraftLength::may_run(uint32_t n_columns, const Limits& limits, double spent, double tokens) const {
    // A size whose cost rests on one or two pairs waits until it can be paired again.
    const size_t kind = runs_as(n_columns);
    if (!costs_.known(kind) && !costs_.can_pair(kind)) return false;
    const auto index = limits.n_sequences == 1 ? index_of(n_columns) : std::nullopt;
    const bool is_recorded = !index || (recorded_widths_ >> *index & 1) != 0;
    const double recording = is_recorded ? 0 : record_ms_ / pace_ms();
    // Where an answer ends is not known; half-way is as good an assumption as any.
    const double follows = std::min<double>(n_more_ * limits.per_token, total_);
    return spent - limits.plain + recording <= limits.may_lose &&
           follows * (1 - spent / (tokens * limits.per_token)) >= recording;
}

// best: [evidence.size()]
void DraftLength::choose(std::span<const std::span<const uint8_t>> evidence, uint32_t room, double ms_per_draft_token,
                         std::span<uint32_t> best) const {
    const auto n = static_cast<uint32_t>(evidence.size());
    std::fill(best.begin(), best.end(), 0);
    if (n == 0 || n >= kBatchInvariantWidth || (fixed_width_ == 0 && !may_draft(n))) return;
    const bool is_fixed = fixed_width_ > 0;
    const Limits limits = is_fixed ? Limits{.widest = fixed_width_} : this->limits(n);
    std::array<uint32_t, kBatchInvariantWidth> taken{};
    std::array<double, kBatchInvariantWidth> chance;  // that all draft tokens of a sequence so far are accepted
    chance.fill(1);
    double tokens = n, best_rate = is_fixed ? 0 : kLeastGain / limits.per_token;
    const uint32_t most = std::min({n + room, limits.widest, kBatchInvariantWidth});
    for (uint32_t columns = n + 1; columns <= most; ++columns) {
        uint32_t next = n;
        double next_chance = -1;
        for (uint32_t i = 0; i < n; ++i) {
            if (taken[i] == evidence[i].size()) continue;
            const double c = chance[i] * right_share(evidence[i][taken[i]]);
            if (c > next_chance) next = i, next_chance = c;
        }
        if (next == n) break;
        ++taken[next];
        chance[next] = next_chance;
        tokens += next_chance;
        if (n == 1 && !index_of(columns)) continue;
        if (!is_fixed) {
            const double spent = cost(columns) + (columns - n) * ms_per_draft_token / pace_ms();
            if (tokens / spent <= best_rate || !may_run(columns, limits, spent, tokens)) continue;
            best_rate = tokens / spent;
        }
        std::copy_n(taken.begin(), n, best.begin());
    }
}

std::vector<uint32_t> DraftLength::counts(std::span<const Proposal> of_sequences, uint32_t room) const {
    std::vector<std::span<const uint8_t>> evidence;
    for (const Proposal& proposal : of_sequences) evidence.emplace_back(proposal.evidence);
    std::vector<uint32_t> best(of_sequences.size());
    choose(evidence, room, 0, best);
    return best;
}

uint32_t DraftLength::width_for(std::span<const uint8_t> evidence, uint32_t most, double ms_per_draft_token) const {
    uint32_t best = 0;
    if (most > 1) choose({&evidence, 1}, most - 1, ms_per_draft_token, {&best, 1});
    return 1 + best;
}

uint32_t DraftLength::rounds(uint32_t n_sequences, uint32_t n_asking, uint32_t room, double ms_per_round) const {
    if (n_asking == 0 || n_sequences >= kBatchInvariantWidth) return 0;
    const uint32_t most = std::min(kMostRounds, std::min(room, kBatchInvariantWidth - n_sequences) / n_asking);
    if (fixed_width_ > 0) return most;
    if (!may_draft(n_sequences)) return 0;
    const Limits limits = this->limits(n_sequences);
    uint32_t best = 0;
    double tokens = n_sequences, chance = 1, best_rate = kLeastGain / limits.per_token;
    for (uint32_t r = 1; r <= most; ++r) {
        chance *= right_share(kAnyCostlyEvidence);
        tokens += n_asking * chance;
        const uint32_t columns = n_sequences + r * n_asking;
        const double spent = cost(columns) + r * ms_per_round / pace_ms();
        if (columns > limits.widest || tokens / spent <= best_rate || !may_run(columns, limits, spent, tokens))
            continue;
        best = r;
        best_rate = tokens / spent;
    }
    return best;
}

}  // namespace atlas
