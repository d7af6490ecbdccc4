#include "runtime/session/speculation/batch_speculation.h"

#include <algorithm>

namespace atlas {

namespace {

std::array<double, kEvidenceClasses> priors_of(const BatchSpeculation::MakeLookup& make_lookup,
                                               const DraftModel* draft) {
    std::array<double, kEvidenceClasses> priors;
    priors.fill(0.5);
    if (make_lookup) make_lookup()->priors(priors);
    if (draft != nullptr) draft->priors(priors);
    return priors;
}

}  // namespace

BatchSpeculation::BatchSpeculation(MakeLookup make_lookup, std::unique_ptr<DraftModel> draft, uint32_t draft_max)
    : make_lookup_(std::move(make_lookup)),
      draft_(std::move(draft)),
      draft_max_(draft_max),
      length_(priors_of(make_lookup_, draft_.get()), std::nullopt) {}

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
    std::vector<DraftModel::Ask> wanting;
    for (Ask& ask : asks) {
        if (!ask.proposal.tokens.empty() || ask.most == 0 || wanting.size() == draft_->most_asks()) continue;
        wanting.push_back({ask.id, ask.tokens, &ask.proposal});
    }
    const uint32_t rounds = length_.rounds(static_cast<uint32_t>(asks.size()), static_cast<uint32_t>(wanting.size()),
                                           room, draft_->ms_per_round());
    if (rounds == 0) return {};
    ATLAS_TRY_VOID(draft_->propose_for(wanting, rounds));
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
