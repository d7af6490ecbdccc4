#include "runtime/session/speculation/draft_model.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

namespace atlas {

namespace {

using Clock = std::chrono::steady_clock;

// Classes by the probability that the small model gives its own choice: from here on, up to these bounds.
constexpr uint8_t kFirstClass = kFirstCostlyEvidence;
constexpr std::array<double, 6> kBounds = {0.3, 0.5, 0.7, 0.85, 0.95, 0.99};
constexpr std::array<double, 7> kPriors = {0.25, 0.4, 0.55, 0.7, 0.85, 0.93, 0.97};
static_assert(kFirstClass + kPriors.size() <= kAnyCostlyEvidence);

// Drafting more pays while the chance that all draft tokens so far are accepted is above the cost of a draft token in
// plain tokens; small models cost 5 to 20 % of large ones, and the rest of this bound is for the wider step.
constexpr double kLeastChance = 0.3;

// Draft tokens before the first one that counts: both buffers of the chain are recorded, then timed.
constexpr uint32_t kWarmUp = 4;
constexpr double kUnmeasuredMs = 0.01;

// What a submission with its wait costs less in one call with others: 571 us against 518 us for nine (lavapipe of
// Mesa 25.0.7, tests/regress/draft_block_cost, 2026-11-21, load 10). Not measured on a graphics card, whose driver
// takes longer: there the value errs towards going through the host.
constexpr double kSavedMsPerSubmission = 0.006;
// The value of one more token in a block, in draft tokens: a small model costs at most a fifth of a large one.
constexpr double kDraftTokensPerToken = 5;
// Averages of what chains that the host could not stop have wasted: how much of it remains per block that went
// through the host, and how much per further chain.
constexpr double kForget = 0.97, kKept = 0.8;
// The cost of a draft token can be measured only where drafting and the verify step are separate submissions.
constexpr uint32_t kMostInARow = 31;

uint8_t bucket_of(const Choice& draft_token) {
    const double probability = std::exp(draft_token.logprob);
    return static_cast<uint8_t>(std::upper_bound(kBounds.begin(), kBounds.end(), probability) - kBounds.begin());
}

}  // namespace

DraftModel::DraftModel(std::unique_ptr<Session> session, uint32_t n_vocab)
    : session_(std::move(session)), n_vocab_(n_vocab), ms_per_token_(kUnmeasuredMs) {}

void DraftModel::priors(std::span<double> of_class) const {
    std::copy(kPriors.begin(), kPriors.end(), of_class.begin() + kFirstClass);
    of_class[kAnyCostlyEvidence] = 0.7;
}

Result<void> DraftModel::begin(std::span<const uint32_t> timeline) {
    timeline_.assign(timeline.begin(), timeline.end());
    n_queued_ = 0;
    const uint32_t known = std::min(n_vocab_, session_->model().config().n_vocab);
    stopped_ = timeline.size() >= session_->n_ctx() ||
               std::any_of(timeline.begin(), timeline.end(), [known](uint32_t token) { return token >= known; });
    if (stopped_) return {};
    // The prompt is read and steps are recorded now: neither is part of a draft token's cost.
    Proposal unused;
    ATLAS_TRY_VOID(propose(kWarmUp, unused));
    ms_per_token_ = kUnmeasuredMs;
    return propose(kWarmUp, unused);
}

Result<void> DraftModel::accept(uint32_t token) {
    timeline_.push_back(token);
    stopped_ = stopped_ || token >= session_->model().config().n_vocab;
    return {};
}

// Proposals of other speculators may come from texts that this model has no tokens for.
bool DraftModel::knows(const Proposal& proposal) const {
    const uint32_t n_vocab = session_->model().config().n_vocab;
    return std::all_of(proposal.tokens.begin(), proposal.tokens.end(),
                       [n_vocab](uint32_t token) { return token < n_vocab; });
}

bool DraftModel::one_submission_pays(uint32_t n) const {
    if (submission_ != Submission::whatever_pays) return submission_ == Submission::one;
    return n_in_a_row_ < kMostInARow && wasted_ * ms_per_token_ < (n + 1) * kSavedMsPerSubmission;
}

// The timeline shows how many of the draft tokens that were queued last were accepted: those past the stop gained
// tokens then, the others cost time.
void DraftModel::learn_from_queued() {
    if (n_queued_ == 0) return;
    const auto& drafted = session_->tokens();  // all but the last draft token
    const auto differ = std::mismatch(drafted.begin(), drafted.end(), timeline_.begin(), timeline_.end());
    const auto n_same = static_cast<size_t>(differ.first - drafted.begin());
    const size_t n_right = n_same > n_before_ ? n_same - n_before_ : 0;
    const double n_more = n_right > n_until_stop_ ? double(n_right - n_until_stop_) : 0;
    wasted_ = kKept * wasted_ + (1 - kKept) * (double(n_queued_ - n_until_stop_) - kDraftTokensPerToken * n_more);
    n_queued_ = 0;
}

Result<bool> DraftModel::queue(uint32_t n, const Proposal& before, const DraftPlace& place, QueuedDrafts& queued) {
    learn_from_queued();
    const size_t n_timeline = timeline_.size();
    if (stopped_ || n == 0 || !one_submission_pays(n) || !knows(before) ||
        place.backend != &session_->model().backend())
        return false;
    if (place.first + n > kBatchInvariantWidth || n_timeline + before.tokens.size() + n > session_->n_ctx())
        return false;
    ATLAS_TRY(const Sampler greedy, Sampler::create({.temperature = 0}));
    if (!session_->can_choose(greedy.options())) return false;
    timeline_.insert(timeline_.end(), before.tokens.begin(), before.tokens.end());
    const auto done =
        session_->queue_drafts(timeline_, n, std::min(n_vocab_, session_->model().config().n_vocab), place, queued);
    timeline_.resize(n_timeline);
    if (!done) return tl::unexpected(done.error());
    n_queued_ = n;
    n_before_ = n_timeline + before.tokens.size();
    ++n_in_a_row_;
    return true;
}

Result<void> DraftModel::collect(Proposal& proposal) {
    std::array<Choice, kBatchInvariantWidth> all;
    const auto draft_tokens = std::span(all).first(n_queued_);
    const size_t n_timeline = timeline_.size();
    timeline_.insert(timeline_.end(), proposal.tokens.begin(), proposal.tokens.end());
    const auto done = session_->take_drafts(timeline_, draft_tokens);
    timeline_.resize(n_timeline);
    ATLAS_TRY_VOID(done);
    double chance = 1;
    n_until_stop_ = 0;
    for (const Choice& draft_token : draft_tokens) {
        const uint8_t bucket = bucket_of(draft_token);
        if (chance > kLeastChance) ++n_until_stop_;
        chance *= kPriors[bucket];
        proposal.tokens.push_back(draft_token.token);
        proposal.evidence.push_back(static_cast<uint8_t>(kFirstClass + bucket));
    }
    return {};
}

Result<void> DraftModel::propose(uint32_t most, Proposal& proposal) {
    learn_from_queued();
    if (stopped_ || !knows(proposal)) return {};
    const auto start = Clock::now();
    const size_t n_timeline = timeline_.size();
    timeline_.insert(timeline_.end(), proposal.tokens.begin(), proposal.tokens.end());
    const size_t n_ctx = session_->n_ctx();
    most = timeline_.size() < n_ctx ? static_cast<uint32_t>(std::min<size_t>(most, n_ctx - timeline_.size())) : 0;
    if (most == 0) {
        stopped_ = n_timeline >= n_ctx;
        timeline_.resize(n_timeline);
        return {};
    }
    const auto synced = session_->sync(timeline_);
    const auto n_run = static_cast<double>(synced ? timeline_.size() - *synced : 0);
    timeline_.resize(n_timeline);
    if (!synced) return tl::unexpected(synced.error());
    ATLAS_TRY(const Sampler greedy, Sampler::create({.temperature = 0}));
    if (!session_->can_choose(greedy.options())) return {};
    ATLAS_TRY_VOID(session_->start_choosing(greedy, true));
    double chance = 1;
    uint32_t n = 0;
    Result<void> done;
    for (bool go_on = true; go_on; ++n) {
        // The next step is submitted before it is known whether this draft token is likely enough; if it is not, that
        // step was wasted.
        const auto choice = session_->next_choice(n + 1 < most);
        if (!choice) {
            done = tl::unexpected(choice.error());
            break;
        }
        const uint8_t bucket = bucket_of(*choice);
        chance *= kPriors[bucket];
        if (choice->token >= n_vocab_) break;
        proposal.tokens.push_back(choice->token);
        proposal.evidence.push_back(static_cast<uint8_t>(kFirstClass + bucket));
        go_on = n + 1 < most && chance > kLeastChance;
    }
    session_->stop_choosing();
    ATLAS_TRY_VOID(done);
    wasted_ *= kForget;
    n_in_a_row_ = n_queued_ = 0;
    // Reading the tokens that the larger model chose costs a step too and is counted; the prompt is read once and is
    // not.
    if (n_run <= kBatchInvariantWidth && n > 0) {
        const double ms =
            std::chrono::duration<double, std::milli>(Clock::now() - start).count() / std::max(1.0, double(n));
        ms_per_token_ = ms_per_token_ <= kUnmeasuredMs ? ms : 0.8 * ms_per_token_ + 0.2 * ms;
    }
    return {};
}

}  // namespace atlas
