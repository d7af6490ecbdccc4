#include "runtime/session/speculation/speculation.h"

#include <algorithm>
#include <chrono>

namespace atlas {

namespace {

std::array<double, kEvidenceClasses> priors_of(const std::vector<std::unique_ptr<Speculator>>& speculators) {
    std::array<double, kEvidenceClasses> priors;
    priors.fill(0.5);
    for (const auto& speculator : speculators) speculator->priors(priors);
    return priors;
}

}  // namespace

Speculators::Speculators(std::vector<std::unique_ptr<Speculator>> speculators, uint32_t draft_max)
    : speculators_(std::move(speculators)), draft_max_(draft_max), length_(priors_of(speculators_)) {}

Result<void> Speculators::begin(std::span<const TokenId> timeline) {
    for (const auto& speculator : speculators_) ATLAS_TRY_VOID(speculator->begin(timeline));
    return {};
}

Result<uint64_t> Speculators::shrink(uint64_t bytes) {
    uint64_t given = 0;
    for (const auto& speculator : speculators_) {
        if (given >= bytes) break;
        ATLAS_TRY(const uint64_t more, speculator->shrink(bytes - given));
        given += more;
    }
    return given;
}

Result<void> Speculators::accept(TokenId token) {
    for (const auto& speculator : speculators_) ATLAS_TRY_VOID(speculator->accept(token));
    return {};
}

Result<void> Speculators::propose_free(uint32_t most, Proposal& proposal) {
    for (const auto& speculator : speculators_) {
        const auto n = static_cast<uint32_t>(proposal.tokens.size());
        if (n < most && speculator->ms_per_token() == 0) ATLAS_TRY_VOID(speculator->propose(most - n, proposal));
    }
    ATLAS_CHECK(proposal.tokens.size() <= most && proposal.evidence.size() == proposal.tokens.size(),
                "{} draft tokens of at most {}, {} pieces of evidence", proposal.tokens.size(), most,
                proposal.evidence.size());
    return {};
}

// How many draft tokens to add after those that `before` stands for.
uint32_t Speculators::wanted_of(const Speculator& speculator, uint32_t most, std::span<const uint8_t> before) const {
    if (speculator.ms_per_token() == 0 || !speculator.can_draft() || before.size() >= most) return 0;
    std::vector<uint8_t> evidence(before.begin(), before.end());
    evidence.resize(most, kAnyCostlyEvidence);
    const uint32_t width = length_.width_for(evidence, most + 1, speculator.ms_per_token());
    return width - 1 > before.size() ? width - 1 - static_cast<uint32_t>(before.size()) : 0;
}

Result<void> Speculators::fill(uint32_t most, Proposal& proposal) {
    for (const auto& speculator : speculators_) {
        const uint32_t wanted = wanted_of(*speculator, most, proposal.evidence);
        if (wanted > 0) ATLAS_TRY_VOID(speculator->propose(wanted, proposal));
    }
    return {};
}

Result<uint32_t> Speculators::queue(uint32_t most, const Proposal& proposal, const DraftPlace& place,
                                    QueuedDrafts& queued) {
    queued.programs.clear();
    queued.recorded = false;
    for (const auto& speculator : speculators_) {
        const uint32_t wanted = wanted_of(*speculator, most, proposal.evidence);
        if (wanted == 0) continue;
        ATLAS_TRY(const bool done, speculator->queue(wanted, proposal, place, queued));
        queued_ = speculator.get();
        return done ? wanted : 0;
    }
    return 0;
}

bool Speculators::would_fill(uint32_t most) const {
    return std::any_of(speculators_.begin(), speculators_.end(),
                       [&](const auto& s) { return wanted_of(*s, most, {}) > 0; });
}

SpeculativeDecoder::SpeculativeDecoder(Session& session, Sampler& sampler, Speculators& speculation,
                                       bool choose_on_device, std::span<const TokenId> forced)
    : session_(session),
      sampler_(sampler),
      speculation_(speculation),
      on_device_(choose_on_device && session.can_choose(sampler.options())),
      chains_(on_device_ && forced.empty()),
      forced_(forced),
      n_prompt_(static_cast<uint32_t>(session.tokens().size())) {
    choices_.resize(kBatchInvariantWidth);
}

SpeculativeDecoder::~SpeculativeDecoder() {
    session_.stop_choosing();
    const auto keep = static_cast<uint32_t>(n_prompt_ + std::max<uint64_t>(n_handed_, 1) - 1);
    if (session_.tokens().size() > keep) session_.rewind(keep);
}

double SpeculativeDecoder::now_ms() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Result<void> SpeculativeDecoder::start() {
    const double start = now_ms();
    ATLAS_TRY_VOID(speculation_.begin(session_.tokens()));
    begin_ms_ = now_ms();
    figures_.record_ms += begin_ms_ - start;
    return {};
}

Result<TokenId> SpeculativeDecoder::next(uint32_t n_more) {
    if (n_taken_ == ready_.size()) {
        ready_.clear();
        n_taken_ = 0;
        n_more = static_cast<uint32_t>(std::min<uint64_t>(n_more, session_.n_ctx() - n_prompt_ - n_handed_));
        const double now = now_ms();
        book(now);
        entry_ms_ = now;
        apart_ms_ = draft_ms_ = 0;
        has_recorded_ = false;
        took_ = Took::nothing;
        ATLAS_TRY_VOID(refill(n_more));
    }
    const TokenId token = ready_[n_taken_++];
    ++n_handed_;
    ATLAS_TRY_VOID(speculation_.accept(token));
    figures_.n_tokens = n_handed_;
    figures_.total_ms = now_ms() - begin_ms_;
    return token;
}

// Books the time from one call that takes work to the next: what the caller does with tokens is part of their price.
void SpeculativeDecoder::book(double now) {
    const double ms = now - entry_ms_ - apart_ms_;
    if (took_ == Took::nothing) return;
    DraftLength& length = speculation_.length();
    if (has_recorded_) length.recording_took(apart_ms_);
    if (took_ == Took::resuming)
        length.resuming_took(ms - draft_ms_, draft_ms_);
    else
        length.step_took(1, width_, n_got_, ms - draft_ms_, draft_ms_);
    const double pace = length.pace_ms();
    if (pace == 0) return;
    const bool resuming = took_ == Took::resuming;
    figures_.n_booked += n_got_;
    figures_.spent_steps += (resuming ? length.resuming_cost() : length.cost(width_)) + draft_ms_ / pace +
                            (has_recorded_ ? apart_ms_ / pace : 0);
    const bool known = took_ == Took::plain || (resuming ? length.is_resuming_known() : length.is_known(width_));
    figures_.n_unpaired += known ? 0 : 1;
}

void SpeculativeDecoder::look_ahead(uint32_t n_more) {
    uint32_t recorded = 0;
    const uint32_t invariant_width = session_.batch_invariant_width();
    for (size_t i = 0; i < DraftLength::kWidths.size() && DraftLength::kWidths[i] <= invariant_width; ++i) {
        if (session_.has_verify(DraftLength::kWidths[i], chooses_rows())) recorded |= 1u << i;
    }
    speculation_.length().look_ahead(n_more, recorded);
}

void SpeculativeDecoder::chosen(TokenId token) {
    compare_shadow(token);
    sampler_.accept(token);
    ready_.push_back(token);
    last_ = token;
    ++n_chosen_;
}

void SpeculativeDecoder::compare_shadow(TokenId token) {
    if (shadow_at_ == shadow_.tokens.size()) return;
    const bool right = shadow_.tokens[shadow_at_] == token;
    speculation_.length().draft_was(shadow_.evidence[shadow_at_], right);
    shadow_at_ = right ? shadow_at_ + 1 : shadow_.tokens.size();
}

Result<void> SpeculativeDecoder::refill(uint32_t n_more) {
    switch (state_) {
        case State::first:
            if (chains_) {
                ATLAS_TRY_VOID(session_.start_choosing(sampler_));
                state_ = State::chain;
                ATLAS_TRY_VOID(from_chain(n_more, true));
                took_ = Took::nothing;  // it only chose, and recorded the plain step
                speculation_.length().expect_recording(now_ms() - entry_ms_);
                return {};
            }
            if (forced_.empty()) {
                ATLAS_TRY(const TokenId token, sampler_.sample(session_.logits()));
                chosen(token);
            } else {
                chosen(forced_[0]);
            }
            state_ = State::open;
            return {};
        case State::chain:
            return from_chain(n_more, true);
        case State::open:
            return from_open(n_more);
    }
    return {};
}

// The running choice verifies the first draft token at no cost. Where the draft tokens after it seem worth a block,
// no step is submitted ahead.
Result<void> SpeculativeDecoder::from_chain(uint32_t n_more, bool may_leave) {
    took_ = Took::plain;
    width_ = n_got_ = 1;
    look_ahead(n_more);
    bool leave = n_more == 0;
    if (may_leave && n_more > 0) {
        proposal_.clear();
        const uint32_t invariant_width = session_.batch_invariant_width();
        ATLAS_TRY_VOID(speculation_.propose_free(std::min(speculation_.draft_max() + 1, n_more), proposal_));
        if (proposal_.tokens.size() > 1)
            leave = speculation_.length().width_for(std::span(proposal_.evidence).subspan(1), invariant_width, 0) > 1;
        leave = leave || (invariant_width > 1 &&
                          speculation_.would_fill(std::min({speculation_.draft_max(), invariant_width - 1, n_more})));
        if (shadow_at_ == shadow_.tokens.size()) {
            std::swap(shadow_, proposal_);
            shadow_at_ = 0;
        }
    }
    ATLAS_TRY(const Choice choice, session_.next_choice(!leave));
    ++figures_.n_plain;
    sampler_.skip_draws(1);
    chosen(choice.token);
    if (leave) {
        session_.stop_choosing();
        state_ = State::open;
    }
    return {};
}

Result<void> SpeculativeDecoder::from_open(uint32_t n_more) {
    look_ahead(n_more);
    const double draft_begin = now_ms();
    proposal_.clear();
    const uint32_t invariant_width = session_.batch_invariant_width();
    const uint32_t most = std::min({speculation_.draft_max(), std::max(invariant_width, 1u) - 1, n_more});
    if (most > 0) {
        ATLAS_TRY_VOID(speculation_.propose_free(most, proposal_));
        ATLAS_TRY(const bool joined, joined_block(most));
        if (joined) return {};
        ATLAS_TRY_VOID(speculation_.fill(most, proposal_));
    }
    draft_ms_ = now_ms() - draft_begin;
    figures_.draft_ms += draft_ms_;
    const uint32_t width = speculation_.length().width_for(proposal_.evidence, invariant_width, 0);
    if (width > 1) return block(width);
    if (shadow_at_ == shadow_.tokens.size()) {
        std::swap(shadow_, proposal_);
        shadow_at_ = 0;
    }
    return plain_step(n_more);
}

Result<void> SpeculativeDecoder::plain_step(uint32_t n_more) {
    if (chains_) {
        ATLAS_TRY_VOID(session_.step(last_));
        ATLAS_TRY_VOID(session_.start_choosing(sampler_));
        state_ = State::chain;
        ATLAS_TRY_VOID(from_chain(n_more, false));
        took_ = Took::resuming;
        return {};
    }
    took_ = Took::plain;
    width_ = n_got_ = 1;
    ++figures_.n_plain;
    if (!forced_.empty()) {
        ATLAS_TRY_VOID(session_.verify(std::span(&last_, 1), sampler_, std::span(choices_).first(1)));
        chosen(forced_[std::min<size_t>(n_chosen_, forced_.size() - 1)]);
        return {};
    }
    ATLAS_TRY_VOID(session_.step(last_));
    ATLAS_TRY(const TokenId token, sampler_.sample(session_.logits()));
    chosen(token);
    return {};
}

// Runs draft tokens and their verify step in one submission. The time of drafting cannot be measured here: it is
// booked as measured when the two were separate.
Result<bool> SpeculativeDecoder::joined_block(uint32_t most) {
    if (!chooses_rows()) return false;
    const double begin = now_ms();
    const auto n_known = static_cast<uint32_t>(1 + proposal_.tokens.size());
    ATLAS_TRY(const uint32_t n_queued, speculation_.queue(most, proposal_, session_.draft_place(n_known), queued_));
    if (n_queued == 0) return false;
    const uint32_t width = n_known + n_queued;
    ATLAS_TRY(const bool recorded, session_.prepare_verify(width, true));
    const double ready = now_ms();
    if (recorded || queued_.recorded) {
        apart_ms_ += ready - begin;
        figures_.record_ms += ready - begin;
        has_recorded_ = true;
    }
    tokens_.assign(1, last_);
    tokens_.insert(tokens_.end(), proposal_.tokens.begin(), proposal_.tokens.end());
    const auto n_past = static_cast<uint32_t>(session_.tokens().size());
    ATLAS_TRY_VOID(session_.verify_drafted(queued_.programs, tokens_, width, sampler_));
    ATLAS_TRY_VOID(speculation_.collect(proposal_));
    tokens_.insert(tokens_.end(), proposal_.tokens.begin() + n_known - 1, proposal_.tokens.end());
    ATLAS_TRY_VOID(session_.take_verified(tokens_, std::span(choices_).first(width)));
    const double took = now_ms() - ready;
    draft_ms_ = std::min(took, n_queued * speculation_.queued_ms_per_token());
    figures_.draft_ms += draft_ms_;
    figures_.verify_ms += took - draft_ms_;
    ++figures_.n_joined;
    ATLAS_TRY_VOID(accept_block(width, n_past));
    return true;
}

Result<void> SpeculativeDecoder::block(uint32_t width) {
    const double begin = now_ms();
    tokens_.assign(1, last_);
    tokens_.insert(tokens_.end(), proposal_.tokens.begin(), proposal_.tokens.begin() + width - 1);
    const bool device = chooses_rows();
    ATLAS_TRY(has_recorded_, session_.prepare_verify(width, device));
    const double recorded = now_ms();
    apart_ms_ += recorded - begin;
    figures_.record_ms += recorded - begin;
    const auto n_past = static_cast<uint32_t>(session_.tokens().size());
    if (device) {
        ATLAS_TRY_VOID(session_.verify(tokens_, sampler_, std::span(choices_).first(width)));
    } else {
        ATLAS_TRY_VOID(session_.extend(tokens_, width));
        (void)session_.logits_rows();
    }
    figures_.verify_ms += now_ms() - recorded;
    return accept_block(width, n_past);
}

Result<void> SpeculativeDecoder::accept_block(uint32_t width, uint32_t n_past) {
    const double verified = now_ms();
    const bool device = chooses_rows();
    shadow_.clear();
    shadow_at_ = 0;
    uint32_t n = 0;  // chosen tokens; all but the last were accepted draft tokens
    for (bool right = true; right && n < width; ++n) {
        TokenId token = choices_[n];
        if (!forced_.empty()) {
            token = forced_[std::min<size_t>(n_chosen_, forced_.size() - 1)];
        } else if (!device) {
            const uint64_t n_vocab = session_.model().config().n_vocab;
            ATLAS_TRY(token, sampler_.sample(session_.logits_rows().subspan(n * n_vocab, n_vocab)));
        }
        if (n + 1 < width) {
            right = token == proposal_.tokens[n];
            speculation_.length().draft_was(proposal_.evidence[n], right);
        }
        chosen(token);
    }
    if (device) sampler_.skip_draws(n);
    session_.rewind(n_past + n);
    took_ = Took::block;
    width_ = width;
    n_got_ = n;
    ++figures_.n_blocks;
    figures_.n_draft_tokens += width - 1;
    figures_.n_accepted += n - 1;
    figures_.host_ms += now_ms() - verified;
    return {};
}

}  // namespace atlas
