#include "runtime/session/speculation/batch_speculation.h"

#include <algorithm>
#include <chrono>

namespace atlas {

namespace {

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// All draft tokens of the small model are one class: its steps of many timelines return no probabilities.
constexpr uint8_t kDraftEvidence = kFirstCostlyEvidence;
constexpr double kDraftPrior = 0.7;

std::array<double, kEvidenceClasses> priors_of(const BatchSpeculation::MakeLookup& make_lookup) {
    std::array<double, kEvidenceClasses> priors;
    priors.fill(0.5);
    if (make_lookup) make_lookup()->priors(priors);
    priors[kDraftEvidence] = priors[kAnyCostlyEvidence] = kDraftPrior;
    return priors;
}

}  // namespace

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
        const StepItem item{&timeline, piece, 0};
        ATLAS_TRY_VOID(runner_->run({&item, 1}));
    }
    const auto rest = ask.tokens.subspan(timeline.tokens().size());
    reader = {&timeline, {rest.begin(), rest.end()}, ask.proposal};
    return true;
}

Result<void> BatchDraft::round(std::vector<Reader>& readers) {
    static const ChoiceParams greedy = sample_params({.temperature = 0}, 0, false, false);
    std::vector<StepItem> items;
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
      length_(priors_of(make_lookup_), std::nullopt) {}

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

Result<bool> BatchSpeculation::would_propose(std::span<Ask> asks, uint32_t room) {
    const auto n = static_cast<uint32_t>(asks.size());
    if (draft_ && length_.rounds(n, std::min(n, draft_->most_asks()), room, draft_->ms_per_round()) > 0) return true;
    if (!make_lookup_) return false;
    std::vector<Proposal> proposals(n);
    for (uint32_t i = 0; i < n; ++i) {
        Ask& ask = asks[i];
        const uint32_t most = std::min(ask.most > 0 ? ask.most - 1 : 0, draft_max_);
        if (most == 0) continue;
        ask.most = most + 1;
        ATLAS_TRY_VOID(look_up(ask));
        if (ask.proposal.tokens.size() < 2) continue;
        proposals[i].tokens.assign(ask.proposal.tokens.begin() + 1, ask.proposal.tokens.end());
        proposals[i].evidence.assign(ask.proposal.evidence.begin() + 1, ask.proposal.evidence.end());
    }
    const auto counts = length_.counts(proposals, room);
    return std::any_of(counts.begin(), counts.end(), [](uint32_t count) { return count > 0; });
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
