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

// Draft tokens before the first one that counts: all places ahead are recorded, then timed.
constexpr uint32_t kWarmUp = 4;
constexpr double kUnmeasuredMs = 0.01;

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

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

DraftModel::DraftModel(std::unique_ptr<StepRunner> runner, uint32_t n_vocab)
    : runner_(std::move(runner)), n_vocab_(n_vocab), ahead_(*runner_), ms_per_token_(kUnmeasuredMs) {
    timelines_.try_emplace(kOwn, runner_->pool());
}

void DraftModel::priors(std::span<double> of_class) const {
    std::copy(kPriors.begin(), kPriors.end(), of_class.begin() + kFirstClass);
    of_class[kAnyCostlyEvidence] = 0.7;
}

const std::vector<TokenId>& DraftModel::cached_tokens() const { return timelines_.at(kOwn).tokens(); }

Result<uint64_t> DraftModel::shrink(uint64_t bytes) {
    std::vector<Timeline*> readers;
    for (auto& [id, timeline] : timelines_) readers.push_back(&timeline);
    return runner_->shrink(bytes, runner_->pool().n_in_use() * kPageTokens + kLeastRoomTokens, readers);
}

// Proposals of other speculators may come from texts that this model has no tokens for.
bool DraftModel::knows(std::span<const TokenId> tokens) const {
    const uint32_t n_vocab = runner_->model().config().n_vocab;
    return std::all_of(tokens.begin(), tokens.end(), [n_vocab](TokenId token) { return token < n_vocab; });
}

// Brings the timeline to all of these tokens but the last ones, at most `most_left`, which the first step of drafting
// runs. False: there is no room for it.
Result<bool> DraftModel::catch_up(uint64_t id, std::span<const TokenId> tokens, size_t most_left, Reader& reader) {
    Timeline& timeline = timelines_.try_emplace(id, runner_->pool()).first->second;
    if (!knows(tokens) || tokens.size() >= runner_->shape().n_ctx) return false;
    const auto& there = timeline.tokens();
    const auto differ = std::mismatch(tokens.begin(), tokens.end(), there.begin(), there.end());
    const ptrdiff_t same = std::min<ptrdiff_t>(differ.first - tokens.begin(), ptrdiff_t(tokens.size()) - 1);
    timeline.rewind(static_cast<uint32_t>(same));
    timeline.reuse(tokens);
    while (tokens.size() - there.size() > most_left) {
        const size_t n = std::min<size_t>(tokens.size() - there.size() - 1, runner_->shape().n_batch);
        const StepItem item{&timeline, tokens.subspan(there.size(), n), 0};
        ATLAS_TRY(const bool reserved, timeline.reserve(static_cast<uint32_t>(n)));
        if (!reserved) {
            timeline.clear();
            return false;
        }
        ATLAS_TRY_VOID(runner_->run({&item, 1}));
    }
    const auto rest = tokens.subspan(there.size());
    reader.timeline = &timeline;
    reader.tokens.assign(rest.begin(), rest.end());
    return true;
}

// Appends draft tokens to the proposals of those that have room, as long as one of them is likely to be reached. The
// next step is submitted before it is known whether a draft token is likely enough; if none is, that step was wasted.
// Returns how many rounds were used.
Result<uint32_t> DraftModel::draft(std::vector<Reader>& readers, uint32_t rounds) {
    static const ChoiceParams greedy = sample_params({.temperature = 0}, 0, false, true);
    last_ms_ = 0;
    for (size_t i = 0; i < readers.size();) {
        Reader& reader = readers[i];
        const size_t end = reader.timeline->tokens().size() + reader.tokens.size();
        const auto n = static_cast<uint32_t>(reader.tokens.size());
        bool reserved = end <= runner_->shape().n_ctx;
        if (reserved) {
            ATLAS_TRY(reserved, reader.timeline->reserve(n));
        }
        if (reserved)
            ++i;
        else
            readers.erase(readers.begin() + ptrdiff_t(i));
    }
    if (readers.empty() || rounds == 0 || !StepsAhead::can_choose(*runner_, {.temperature = 0})) return 0;
    std::vector<StepsAhead::Sequence> sequences;
    for (const Reader& reader : readers) sequences.push_back({reader.timeline, reader.tokens, greedy, 0});
    uint64_t n_recorded = runner_->counts().recordings;
    auto start = Clock::now();
    ATLAS_TRY_VOID(ahead_.start(sequences));
    Result<void> done;
    uint32_t round = 0;
    for (bool go_on = true; go_on && done;) {
        done = ahead_.next(round + 1 < rounds);
        if (!done) break;
        ++round;
        go_on = false;
        for (size_t i = 0; i < readers.size() && done; ++i) {
            Reader& reader = readers[i];
            if (reader.chance <= kLeastChance) continue;
            const auto choice = ahead_.choice(i);
            if (!choice) {
                done = tl::unexpected(choice.error());
                break;
            }
            const uint8_t bucket = bucket_of(*choice);
            reader.chance = choice->token < n_vocab_ ? reader.chance * kPriors[bucket] : 0;
            if (reader.chance == 0) continue;
            reader.proposal->tokens.push_back(choice->token);
            reader.proposal->evidence.push_back(static_cast<uint8_t>(kFirstClass + bucket));
            go_on = go_on || reader.chance > kLeastChance;
        }
        go_on = go_on && ahead_.is_running();
        const double ms = ms_since(start);
        if (runner_->counts().recordings == n_recorded) {
            round_ms_.add(ms);
            last_ms_ += ms;
        }
        n_recorded = runner_->counts().recordings;
        start = Clock::now();
    }
    ahead_.stop();
    ATLAS_TRY_VOID(done);
    return round;
}

Result<void> DraftModel::propose_for(std::span<const Ask> asks, uint32_t rounds) {
    ATLAS_CHECK(asks.size() <= most_asks(), "{} timelines, at most {}", asks.size(), most_asks());
    // Tokens that fit into one step of all timelines stay for the first round; a prompt that is read for the first
    // time does not fit into it.
    const size_t most_left = std::max<size_t>(1, kBatchInvariantWidth / most_asks());
    std::vector<Reader> readers;
    for (const Ask& ask : asks) {
        Reader reader;
        reader.proposal = ask.proposal;
        ATLAS_TRY(const bool can, catch_up(ask.id, ask.tokens, most_left, reader));
        if (can) readers.push_back(std::move(reader));
    }
    ATLAS_TRY_VOID(draft(readers, rounds));
    return {};
}

Result<void> DraftModel::begin(std::span<const uint32_t> timeline) {
    text_.assign(timeline.begin(), timeline.end());
    n_queued_ = 0;
    const uint32_t known = std::min(n_vocab_, runner_->model().config().n_vocab);
    stopped_ = timeline.size() >= runner_->shape().n_ctx ||
               std::any_of(timeline.begin(), timeline.end(), [known](uint32_t token) { return token >= known; });
    if (stopped_) return {};
    // The prompt is read and steps are recorded now: neither is part of a draft token's cost.
    Proposal unused;
    ATLAS_TRY_VOID(propose(kWarmUp, unused));
    ms_per_token_ = kUnmeasuredMs;
    unused.clear();
    return propose(kWarmUp, unused);
}

Result<void> DraftModel::accept(uint32_t token) {
    text_.push_back(token);
    stopped_ = stopped_ || token >= runner_->model().config().n_vocab;
    return {};
}

Result<void> DraftModel::propose(uint32_t most, Proposal& proposal) {
    learn_from_queued();
    if (stopped_ || !knows(proposal.tokens)) return {};
    const auto start = Clock::now();
    std::vector<TokenId> tokens = text_;
    tokens.insert(tokens.end(), proposal.tokens.begin(), proposal.tokens.end());
    const size_t n_ctx = runner_->shape().n_ctx;
    most = tokens.size() < n_ctx ? static_cast<uint32_t>(std::min<size_t>(most, n_ctx - tokens.size())) : 0;
    if (most == 0) {
        stopped_ = text_.size() >= n_ctx;
        return {};
    }
    std::vector<Reader> readers(1);
    readers[0].proposal = &proposal;
    const size_t n_cached = cached_tokens().size();
    const size_t most_left = std::min(kBatchInvariantWidth, runner_->shape().n_batch);
    ATLAS_TRY(const bool can, catch_up(kOwn, tokens, most_left, readers[0]));
    if (!can) return {};
    ATLAS_TRY(const uint32_t n, draft(readers, most));
    wasted_ *= kForget;
    n_in_a_row_ = n_queued_ = 0;
    // Reading the tokens that the larger model chose costs a step too and is counted; the prompt is read once and is
    // not.
    if (tokens.size() <= n_cached + kBatchInvariantWidth && n > 0) {
        const double ms = ms_since(start) / n;
        ms_per_token_ = ms_per_token_ <= kUnmeasuredMs ? ms : 0.8 * ms_per_token_ + 0.2 * ms;
    }
    return {};
}

bool DraftModel::one_submission_pays(uint32_t n) const {
    if (submission_ != Submission::whatever_pays) return submission_ == Submission::one;
    return n_in_a_row_ < kMostInARow && wasted_ * ms_per_token_ < (n + 1) * kSavedMsPerSubmission;
}

// The text shows how many of the draft tokens that were queued last were accepted: those past the stop gained tokens
// then, the others cost time.
void DraftModel::learn_from_queued() {
    if (n_queued_ == 0) return;
    const auto& drafted = cached_tokens();  // all but the last draft token
    const auto differ = std::mismatch(drafted.begin(), drafted.end(), text_.begin(), text_.end());
    const auto n_same = static_cast<size_t>(differ.first - drafted.begin());
    const size_t n_right = n_same > n_before_ ? n_same - n_before_ : 0;
    const double n_more = n_right > n_until_stop_ ? double(n_right - n_until_stop_) : 0;
    wasted_ = kKept * wasted_ + (1 - kKept) * (double(n_queued_ - n_until_stop_) - kDraftTokensPerToken * n_more);
    n_queued_ = 0;
}

Result<bool> DraftModel::queue(uint32_t n, const Proposal& before, const DraftPlace& place, QueuedDrafts& queued) {
    learn_from_queued();
    if (stopped_ || n == 0 || !one_submission_pays(n) || !knows(before.tokens) ||
        place.backend != &runner_->model().backend() || !StepsAhead::can_choose(*runner_, {.temperature = 0}))
        return false;
    std::vector<TokenId> tokens = text_;
    tokens.insert(tokens.end(), before.tokens.begin(), before.tokens.end());
    if (place.first + n > kBatchInvariantWidth || tokens.size() + n > runner_->shape().n_ctx) return false;
    Reader reader;
    const size_t most_left = std::min(kBatchInvariantWidth, runner_->shape().n_batch);
    ATLAS_TRY(const bool can, catch_up(kOwn, tokens, most_left, reader));
    if (!can) return false;
    ATLAS_TRY(const bool reserved, reader.timeline->reserve(static_cast<uint32_t>(reader.tokens.size()) + n - 1, n));
    if (!reserved) return false;
    const uint32_t n_known_ids = std::min(n_vocab_, runner_->model().config().n_vocab);
    ATLAS_TRY_VOID(runner_->queue_drafts(*reader.timeline, reader.tokens, n, n_known_ids, place, queued));
    queued_tokens_ = std::move(reader.tokens);
    n_queued_ = n;
    n_before_ = tokens.size();
    ++n_in_a_row_;
    return true;
}

Result<void> DraftModel::collect(Proposal& proposal) {
    std::array<Choice, kBatchInvariantWidth> all;
    const auto draft_tokens = std::span(all).first(n_queued_);
    ATLAS_TRY_VOID(runner_->read_drafts(draft_tokens));
    Timeline& timeline = timelines_.at(kOwn);
    timeline.append(queued_tokens_);
    for (size_t i = 0; i + 1 < draft_tokens.size(); ++i) timeline.append({&draft_tokens[i].token, 1});
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

}  // namespace atlas
