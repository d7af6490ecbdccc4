#pragma once
// Decoding with guesses: they are checked several in one step, and what comes out is what plain decoding would have given.
//
// Acceptance: of every checked row the sampler chooses its token, with the draw number that it would have in plain decoding; a guess is
// right when that token is the guess. So the text is the same, token for token, at any temperature and for any seed - which is more than
// the rejection rule of speculative sampling (arXiv:2211.17192) promises: for a proposal that is a single token, accepting it with the
// probability that the target gives it is the same as drawing from the target and comparing.

#include <memory>
#include <vector>

#include "runtime/session/speculation/draft_length.h"
#include "runtime/session/single/session.h"
#include "runtime/session/speculation/speculator.h"

namespace atlas {

struct SpeculationFigures {
    uint64_t n_tokens = 0;    // handed out
    uint64_t n_plain = 0;     // steps of one token
    uint64_t n_blocks = 0;    // steps with guesses
    uint64_t n_joined = 0;    // of those: the guesses were made in the same submission
    uint64_t n_draft_tokens = 0;   // in them
    uint64_t n_accepted = 0;  // of those
    double total_ms = 0;      // of everything
    double draft_ms = 0;      // making guesses
    double verify_ms = 0;     // steps with guesses: the device's work and waiting for it
    double record_ms = 0;     // recording steps of a new width; in spent_steps, too
    double host_ms = 0;       // the rest of a block: choosing a width, comparing, bookkeeping
    uint64_t n_booked = 0;    // tokens of the steps in spent_steps
    double spent_steps = 0;   // what those steps cost, in plain steps at the speed of the moment (DraftLength::cost)
    uint64_t n_unpaired = 0;  // of those steps: of a width whose cost is not known well enough

    double tokens_per_step() const { return n_plain + n_blocks > 0 ? double(n_tokens) / double(n_plain + n_blocks) : 0; }
    double accepted_share() const { return n_draft_tokens > 0 ? double(n_accepted) / double(n_draft_tokens) : 0; }
    /// Against plain decoding on a machine as busy as it was; 0: not known (no draft tokens, or too few pairs of neighbouring steps).
    double speed_up() const {
        constexpr uint64_t kMostUnpaired = 10;  // one step in so many
        const bool known = n_blocks > 0 && spent_steps > 0 && n_unpaired * kMostUnpaired <= n_plain + n_blocks;
        return known ? double(n_booked) / spent_steps : 0;
    }
};

/// Who guesses, in this order, and what is known of how much it pays. Lives as long as the conversation. Not thread-safe.
class Speculators {
  public:
    /// draft_max: most guesses per step.
    Speculators(std::vector<std::unique_ptr<Speculator>> speculators, uint32_t draft_max);

    Result<void> begin(std::span<const TokenId> timeline);
    Result<void> accept(TokenId token);
    /// At most `most` guesses that cost nothing.
    Result<void> propose_free(uint32_t most, Proposal& proposal);
    /// Puts guesses that cost something behind them, as many as seem to pay, so that there are at most `most`.
    Result<void> fill(uint32_t most, Proposal& proposal);
    /// The same where the guesses can stay on the device: puts nothing, but queues some for `place` and returns how many; 0: fill them in.
    Result<uint32_t> queue(uint32_t most, const Proposal& proposal, const DraftPlace& place, QueuedDrafts& queued);
    /// What was queued last, and ran, joins the proposal.
    Result<void> collect(Proposal& proposal) { return queued_->collect(proposal); }
    double queued_ms_per_token() const { return queued_->ms_per_token(); }
    /// What their models hold of the device's memory, as Speculator::shrink.
    Result<uint64_t> shrink(uint64_t bytes);
    /// Whether fill would do anything behind no guesses.
    bool would_fill(uint32_t most) const;

    uint32_t draft_max() const { return draft_max_; }
    DraftLength& length() { return length_; }

  private:
    uint32_t wanted_of(const Speculator& speculator, uint32_t most, std::span<const uint8_t> before) const;

    std::vector<std::unique_ptr<Speculator>> speculators_;
    Speculator* queued_ = nullptr;
    uint32_t draft_max_;
    DraftLength length_;
};

/// One answer. The session holds the prompt and has logits. Plain tokens are chosen by the device one step ahead of the host, as without
/// speculation, until a guess seems worth checking.
class SpeculativeDecoder {
  public:
    /// `choose_on_device`: where it can; else the host samples. `forced`: tokens that are taken as chosen instead of the model's own, for
    /// measuring; empty: none. All must outlive it.
    SpeculativeDecoder(Session& session, Sampler& sampler, Speculators& speculation, bool choose_on_device, std::span<const TokenId> forced = {});
    /// Takes back what was not handed out: the timeline is then the prompt and all tokens handed out but the last.
    ~SpeculativeDecoder();
    SpeculativeDecoder(const SpeculativeDecoder&) = delete;
    SpeculativeDecoder& operator=(const SpeculativeDecoder&) = delete;

    /// Tells the speculators of the prompt.
    Result<void> start();
    /// The next token; the sampler has accepted it. `n_more`: how many more may be wanted after it.
    /// Fails: device_lost, out_of_memory, corrupt (damaged logits).
    Result<TokenId> next(uint32_t n_more);

    const SpeculationFigures& figures() const { return figures_; }

  private:
    enum class State {
        first,  // the session has the logits of the last token
        chain,  // a choice is under way
        open,   // last_ is chosen and not in the timeline
    };
    enum class Took { nothing, plain, block };

    Result<void> refill(uint32_t n_more);
    Result<void> from_chain(uint32_t n_more, bool may_leave);
    Result<void> from_open(uint32_t n_more);
    Result<void> plain_step(uint32_t n_more);
    Result<bool> joined_block(uint32_t most);
    Result<void> block(uint32_t width);
    Result<void> accept_block(uint32_t width, uint32_t n_past);
    bool chooses_rows() const { return on_device_ && !has_penalties(sampler_.options()); }
    void chosen(TokenId token);
    void book(double now_ms);
    void look_ahead(uint32_t n_more);
    void compare_shadow(TokenId token);
    double now_ms() const;

    Session& session_;
    Sampler& sampler_;
    Speculators& speculation_;
    bool on_device_;
    bool chains_;
    std::span<const TokenId> forced_;
    uint32_t n_prompt_;

    State state_ = State::first;
    TokenId last_ = 0;
    std::vector<TokenId> ready_;  // chosen; the first n_taken_ were handed out
    size_t n_taken_ = 0;
    uint64_t n_handed_ = 0;
    uint64_t n_chosen_ = 0;
    Proposal proposal_;
    QueuedDrafts queued_;
    Proposal shadow_;  // guesses that were not checked, compared with what comes: it costs nothing and keeps the shares true
    size_t shadow_at_ = 0;
    std::vector<TokenId> tokens_, choices_;

    Took took_ = Took::nothing;  // since entry_ms_
    double entry_ms_ = 0;
    double begin_ms_ = 0;
    double apart_ms_ = 0;        // recording since entry_ms_
    bool has_recorded_ = false;  // since then: a program that was not there
    double draft_ms_ = 0;        // making guesses since entry_ms_
    uint32_t width_ = 1;
    uint32_t n_got_ = 0;
    SpeculationFigures figures_;
};

}  // namespace atlas
