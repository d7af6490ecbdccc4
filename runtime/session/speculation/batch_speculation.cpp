#include "runtime/session/speculation/batch_speculation.h"

#include <algorithm>
#include <chrono>

namespace atlas {

namespace {

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// draft_length.cpp explains these constants.
constexpr double kLossShare = 0.01, kLossSteps = 1.5, kLeastGain = 1.01, kAssumedSlope = 0.05;
// All draft tokens of the small model are one class: its steps of many timelines return no probabilities.
constexpr uint8_t kDraftEvidence = kFirstCostlyEvidence;
constexpr double kDraftPrior = 0.7;
constexpr uint32_t kMostRounds = 8;

// Steps are recorded for some sizes only; a step costs what the next such size costs.
uint32_t runs_as(uint32_t n_columns) { return std::min(step_size_bucket(n_columns), kBatchInvariantWidth); }

std::array<double, kEvidenceClasses> priors_of(const BatchSpeculation::MakeLookup& make_lookup) {
    std::array<double, kEvidenceClasses> priors;
    priors.fill(0.5);
    if (make_lookup) make_lookup()->priors(priors);
    priors[kDraftEvidence] = priors[kAnyCostlyEvidence] = kDraftPrior;
    return priors;
}

}  // namespace

void BatchLength::step_took(uint32_t n_sequences, uint32_t n_columns, uint32_t n_tokens, double ms, double draft_ms) {
    ATLAS_CHECK(n_sequences >= 1 && n_columns >= n_sequences, "{} columns for {} sequences", n_columns, n_sequences);
    if (n_columns > kBatchInvariantWidth) return;
    costs_.add(runs_as(n_columns), ms);
    const double pace = costs_.pace_ms();
    if (pace == 0) return;
    const double spent = cost_of(n_columns) + draft_ms / pace;
    total_ += spent;
    if (n_columns == n_sequences) {
        shares_.plain_took(ms);
        loss_ += draft_ms / pace;
        return;
    }
    loss_ += spent - cost_of(n_sequences) * n_tokens / n_sequences;
}

bool BatchLength::is_measured(uint32_t n_columns) const { return costs_.measured(runs_as(n_columns)); }

bool BatchLength::may_run(uint32_t n_columns) const {
    return costs_.known(runs_as(n_columns)) || costs_.can_pair(runs_as(n_columns));
}

double BatchLength::cost_of(uint32_t n_columns) const {
    ATLAS_CHECK(n_columns <= kBatchInvariantWidth, "a step of {} columns", n_columns);
    n_columns = runs_as(n_columns);
    if (costs_.measured(n_columns)) return costs_.cost(n_columns);
    uint32_t below = n_columns, above = n_columns;
    while (below > 0 && !costs_.measured(below)) --below;
    while (above <= kBatchInvariantWidth && !costs_.measured(above)) ++above;
    const bool has_above = above <= kBatchInvariantWidth;
    if (below == 0) return has_above ? costs_.cost(above) : 0;
    const double low = costs_.cost(below);
    if (!has_above) return low * (1 + kAssumedSlope * (n_columns - below));
    return low + std::max(0.0, costs_.cost(above) - low) * (n_columns - below) / (above - below);
}

bool BatchLength::may_cost(uint32_t n_sequences, double extra) const {
    return extra <= kLossShare * total_ + kLossSteps * cost_of(n_sequences) - loss_;
}

std::vector<uint32_t> BatchLength::counts(std::span<const Proposal> of_sequences, uint32_t room) const {
    const auto n = static_cast<uint32_t>(of_sequences.size());
    std::vector<uint32_t> best(n, 0), taken(n, 0);
    room = n < kBatchInvariantWidth ? std::min(room, kBatchInvariantWidth - n) : 0;
    if (n == 0 || room == 0 || (!always_ && !is_measured(n))) return best;
    std::vector<double> chance(n, 1);  // that all scheduled draft tokens of a sequence are accepted
    double tokens = n, best_rate = always_ ? 0 : kLeastGain * n / cost_of(n);
    for (uint32_t columns = n + 1; columns <= n + room; ++columns) {
        uint32_t next = n;
        double next_chance = 0;
        for (uint32_t i = 0; i < n; ++i) {
            if (taken[i] == of_sequences[i].evidence.size()) continue;
            const double c = chance[i] * shares_.right_share(of_sequences[i].evidence[taken[i]]);
            if (c > next_chance) next = i, next_chance = c;
        }
        if (next == n) break;
        ++taken[next];
        chance[next] = next_chance;
        tokens += next_chance;
        if (always_) {
            best = taken;
            continue;
        }
        const double cost = cost_of(columns);
        if (!may_run(columns) || !may_cost(n, cost - cost_of(n)) || tokens / cost <= best_rate) continue;
        best = taken;
        best_rate = tokens / cost;
    }
    return best;
}

uint32_t BatchLength::rounds(uint32_t n_sequences, uint32_t n_asking, uint32_t room, double ms_per_round) const {
    if (n_asking == 0 || n_sequences >= kBatchInvariantWidth) return 0;
    room = std::min(room, kBatchInvariantWidth - n_sequences);
    const uint32_t most = std::min(kMostRounds, room / n_asking);
    if (always_) return most;
    if (!is_measured(n_sequences)) return 0;
    const double per_round = ms_per_round / costs_.pace_ms();
    uint32_t best = 0;
    double tokens = n_sequences, chance = 1, best_rate = kLeastGain * n_sequences / cost_of(n_sequences);
    for (uint32_t r = 1; r <= most; ++r) {
        chance *= shares_.right_share(kAnyCostlyEvidence);
        tokens += n_asking * chance;
        const double cost = cost_of(n_sequences + r * n_asking) + r * per_round;
        if (!may_run(n_sequences + r * n_asking) || !may_cost(n_sequences, cost - cost_of(n_sequences)) ||
            tokens / cost <= best_rate)
            continue;
        best = r;
        best_rate = tokens / cost;
    }
    return best;
}

// Brings the timeline to all tokens except those that the first round runs. False: there is no place for it.
Result<bool> BatchDraft::catch_up(const Ask& ask, Reader& reader) {
    auto [entry, is_new] = timelines_.try_emplace(ask.id, runner_->pool());
    Timeline& timeline = entry->second;
    const uint32_t n_known = runner_->model().config().n_vocab;
    const bool is_strange =
        std::any_of(ask.tokens.begin(), ask.tokens.end(), [n_known](TokenId token) { return token >= n_known; });
    if (is_strange || ask.tokens.size() >= runner_->shape().n_ctx) return false;
    const auto differ =
        std::mismatch(ask.tokens.begin(), ask.tokens.end(), timeline.tokens().begin(), timeline.tokens().end());
    timeline.rewind(static_cast<uint32_t>(
        std::min<ptrdiff_t>(differ.first - ask.tokens.begin(), ptrdiff_t(ask.tokens.size()) - 1)));
    timeline.reuse(ask.tokens);
    // Tokens that fit into one step of all timelines stay for the first round; a prompt that is read for the first
    // time does not fit into it.
    const size_t most = std::max<size_t>(1, kBatchInvariantWidth / most_asks());
    while (ask.tokens.size() - timeline.tokens().size() > most) {
        const size_t at = timeline.tokens().size();
        const auto piece =
            ask.tokens.subspan(at, std::min<size_t>(ask.tokens.size() - at - 1, runner_->shape().n_batch));
        ATLAS_TRY(const bool reserved, timeline.reserve(static_cast<uint32_t>(piece.size())));
        if (!reserved) {
            timeline.clear();
            return false;
        }
        const BatchItem item{&timeline, piece, 0};
        ATLAS_TRY_VOID(runner_->run({&item, 1}));
    }
    const auto rest = ask.tokens.subspan(timeline.tokens().size());
    reader = {&timeline, {rest.begin(), rest.end()}, ask.proposal};
    return true;
}

Result<void> BatchDraft::round(std::vector<Reader>& readers) {
    static const ChoiceParams greedy = sample_params({.temperature = 0}, 0, false, false);
    std::vector<BatchItem> items;
    for (size_t i = 0; i < readers.size();) {
        const size_t end = readers[i].timeline->tokens().size() + readers[i].tokens.size();
        const bool fits = end <= runner_->shape().n_ctx;
        ATLAS_TRY(
            const bool reserved,
            fits ? readers[i].timeline->reserve(static_cast<uint32_t>(readers[i].tokens.size())) : Result<bool>(false));
        if (!reserved) {
            readers.erase(readers.begin() + ptrdiff_t(i));
            continue;
        }
        items.push_back({readers[i].timeline, {}, 1, {&greedy, 1}});
        ++i;
    }
    if (readers.empty()) return {};
    for (size_t i = 0; i < readers.size(); ++i) items[i].tokens = readers[i].tokens;
    ATLAS_TRY_VOID(runner_->run(items));
    for (size_t i = readers.size(); i-- > 0;) {
        ATLAS_TRY(const TokenId token, runner_->chosen(i, 0));
        if (token >= n_vocab_) {
            readers.erase(readers.begin() + ptrdiff_t(i));
            continue;
        }
        readers[i].proposal->tokens.push_back(token);
        readers[i].proposal->evidence.push_back(kDraftEvidence);
        readers[i].tokens.assign(1, token);
    }
    return {};
}

Result<uint64_t> BatchDraft::shrink(uint64_t bytes) {
    std::vector<Timeline*> readers;
    for (auto& [id, timeline] : timelines_) readers.push_back(&timeline);
    return runner_->shrink(bytes, runner_->pool().n_in_use() * kPageTokens + kLeastRoomTokens, readers);
}

Result<void> BatchDraft::propose(std::span<const Ask> asks, uint32_t rounds) {
    ATLAS_CHECK(asks.size() <= most_asks(), "{} timelines, at most {}", asks.size(), most_asks());
    last_ms_ = 0;
    std::vector<Reader> readers;
    for (const Ask& ask : asks) {
        Reader reader;
        ATLAS_TRY(const bool can, catch_up(ask, reader));
        if (can) readers.push_back(std::move(reader));
    }
    for (uint32_t r = 0; r < rounds && !readers.empty(); ++r) {
        const uint64_t n_recorded = runner_->counts().recordings;
        const auto start = Clock::now();
        ATLAS_TRY_VOID(round(readers));
        if (runner_->counts().recordings > n_recorded) continue;
        const double ms = ms_since(start);
        round_ms_.add(ms);
        last_ms_ += ms;
    }
    return {};
}

BatchSpeculation::BatchSpeculation(MakeLookup make_lookup, std::unique_ptr<BatchDraft> draft, uint32_t draft_max)
    : make_lookup_(std::move(make_lookup)),
      draft_(std::move(draft)),
      draft_max_(draft_max),
      length_(priors_of(make_lookup_)) {}

Result<void> BatchSpeculation::look_up(Ask& ask) {
    Drafter& drafter = drafters_[ask.id];
    if (!drafter.lookup) {
        drafter.lookup = make_lookup_();
        ATLAS_TRY_VOID(drafter.lookup->begin(ask.tokens));
    } else {
        for (const TokenId token : ask.tokens.subspan(drafter.n_told)) ATLAS_TRY_VOID(drafter.lookup->accept(token));
    }
    drafter.n_told = ask.tokens.size();
    return ask.most > 0 ? drafter.lookup->propose(ask.most, ask.proposal) : Result<void>{};
}

// For sequences for which the lookup has no proposal.
Result<void> BatchSpeculation::draft_for(std::span<Ask> asks, uint32_t room) {
    std::vector<BatchDraft::Ask> wanting;
    for (Ask& ask : asks) {
        if (!ask.proposal.tokens.empty() || ask.most == 0 || wanting.size() == draft_->most_asks()) continue;
        wanting.push_back({ask.id, ask.tokens, &ask.proposal});
    }
    const uint32_t rounds = length_.rounds(static_cast<uint32_t>(asks.size()), static_cast<uint32_t>(wanting.size()),
                                           room, draft_->ms_per_round());
    if (rounds == 0) return {};
    ATLAS_TRY_VOID(draft_->propose(wanting, rounds));
    draft_ms_ += draft_->last_ms();
    return {};
}

Result<void> BatchSpeculation::propose(std::span<Ask> asks, uint32_t room) {
    for (Ask& ask : asks) {
        ask.most = std::min(ask.most, draft_max_);
        ask.proposal.clear();
        if (make_lookup_) ATLAS_TRY_VOID(look_up(ask));
    }
    if (draft_) ATLAS_TRY_VOID(draft_for(asks, room));
    std::vector<Proposal> proposals;
    for (Ask& ask : asks) {
        ask.proposal.tokens.resize(std::min<size_t>(ask.proposal.tokens.size(), ask.most));
        ask.proposal.evidence.resize(ask.proposal.tokens.size());
        proposals.push_back(ask.proposal);
    }
    const auto counts = length_.counts(proposals, room);
    for (size_t i = 0; i < asks.size(); ++i) {
        asks[i].proposal.tokens.resize(counts[i]);
        asks[i].proposal.evidence.resize(counts[i]);
    }
    return {};
}

void BatchSpeculation::was_checked(const Proposal& proposal, uint32_t n_right) {
    for (size_t i = 0; i < proposal.tokens.size() && i <= n_right; ++i)
        length_.draft_was(proposal.evidence[i], i < n_right);
}

void BatchSpeculation::step_took(uint32_t n_sequences, uint32_t n_columns, uint32_t n_tokens, double ms) {
    length_.step_took(n_sequences, n_columns, n_tokens, ms, draft_ms_);
    draft_ms_ = 0;
}

void BatchSpeculation::end(uint64_t id) {
    drafters_.erase(id);
    if (draft_) draft_->end(id);
}

}  // namespace atlas
