#pragma once
// Decoding with draft tokens: several are verified in one step, and the text is the one that plain decoding would
// have produced.
//
// Acceptance: from every verified row the sampler chooses its token, with the draw number that it would have in plain
// decoding; a draft token is accepted when it is that token. So the text is the same, token for token, at any
// temperature and for any seed - which is more than the rejection rule of speculative sampling (arXiv:2211.17192)
// promises: for a proposal that is a single token, accepting it with the probability that the target gives it is the
// same as drawing from the target and comparing.

#include <memory>
#include <vector>

#include "runtime/session/single/session.h"
#include "runtime/session/speculation/draft_length.h"
#include "runtime/session/speculation/speculator.h"

namespace atlas {

struct SpeculationFigures {
    uint64_t n_tokens = 0;        // returned to the caller
    uint64_t n_plain = 0;         // steps of one token
    uint64_t n_blocks = 0;        // verify steps
    uint64_t n_joined = 0;        // of those: the draft tokens were made in the same submission
    uint64_t n_draft_tokens = 0;  // in all verify steps
    uint64_t n_accepted = 0;      // of those
    double total_ms = 0;          // of everything
    double draft_ms = 0;          // making draft tokens
    double verify_ms = 0;         // verify steps: the device's work and waiting for it
    double record_ms = 0;         // recording steps of a new width; also counted in spent_steps
    double host_ms = 0;           // the rest of a block: choosing a width, comparing, bookkeeping
    uint64_t n_booked = 0;        // tokens of the steps in spent_steps
    double spent_steps = 0;   // what those steps cost, in plain steps at the speed of the moment (DraftLength::cost)
    uint64_t n_unpaired = 0;  // of those steps: the ones of a width whose cost is not known well enough

    double tokens_per_step() const {
        return n_plain + n_blocks > 0 ? double(n_tokens) / double(n_plain + n_blocks) : 0;
    }
    double accepted_share() const { return n_draft_tokens > 0 ? double(n_accepted) / double(n_draft_tokens) : 0; }
    /// Speed relative to plain decoding on an equally busy machine; 0: not known (no draft tokens, or too few pairs
    /// of neighbouring steps).
    double speed_up() const {
        constexpr uint64_t kMostUnpaired = 10;  // one step in this many
        const bool known = n_blocks > 0 && spent_steps > 0 && n_unpaired * kMostUnpaired <= n_plain + n_blocks;
        return known ? double(n_booked) / spent_steps : 0;
    }
};

/// Asks the speculators for draft tokens, in this order, and keeps what is known of how much they pay. Lives as long
/// as the conversation. Not thread-safe.
class Speculators {
  public:
    /// draft_max: most draft tokens per step.
    Speculators(std::vector<std::unique_ptr<Speculator>> speculators, uint32_t draft_max);

    Result<void> begin(std::span<const TokenId> timeline);
    Result<void> accept(TokenId token);
    /// At most `most` draft tokens that cost nothing.
    Result<void> propose_free(uint32_t most, Proposal& proposal);
    /// Appends draft tokens that cost time, as many as seem to pay, so that there are at most `most` in all.
    Result<void> fill(uint32_t most, Proposal& proposal);
    /// The same where the draft tokens can stay on the device: appends nothing, but queues some for `place` and
    /// returns how many; 0: use fill instead.
    Result<uint32_t> queue(uint32_t most, const Proposal& proposal, const DraftPlace& place, QueuedDrafts& queued);
    /// Appends to the proposal the draft tokens that were queued last and have run.
    Result<void> collect(Proposal& proposal) { return queued_->collect(proposal); }
    double queued_ms_per_token() const { return queued_->ms_per_token(); }
    /// Shrinks the caches of their models, as Speculator::shrink.
    Result<uint64_t> shrink(uint64_t bytes);
    /// Whether fill would do anything for an empty proposal.
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

/// Generates one answer. The session holds the prompt and has logits. The device chooses plain tokens one step ahead
/// of the host, as without speculation, until a draft token seems worth verifying.
class SpeculativeDecoder {
  public:
    /// `choose_on_device`: let the device choose where it can; else the host samples. `forced`: tokens to take
    /// instead of the model's own choices, for measuring; empty: none. All arguments must outlive it.
    SpeculativeDecoder(Session& session, Sampler& sampler, Speculators& speculation, bool choose_on_device,
                       std::span<const TokenId> forced = {});
    /// Drops tokens that were not returned to the caller: the timeline is then the prompt and all returned tokens but
    /// the last.
    ~SpeculativeDecoder();
    SpeculativeDecoder(const SpeculativeDecoder&) = delete;
    SpeculativeDecoder& operator=(const SpeculativeDecoder&) = delete;

    /// Passes the prompt to the speculators.
    Result<void> start();
    /// The next token; the sampler has accepted it. `n_more`: how many more may be wanted after it.
    /// Fails: device_lost, out_of_memory, corrupt (damaged logits).
    Result<TokenId> next(uint32_t n_more);

    const SpeculationFigures& figures() const { return figures_; }

  private:
    enum class State {
        first,  // the session has the logits of the last token
        chain,  // a choice is running
        open,   // last_ is chosen and not in the timeline
    };
    enum class Took {
        nothing,
        plain,
        resuming,  // the plain step after a block: a cost of having left plain decoding
        block,
    };

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
    std::vector<TokenId> ready_;  // chosen; the first n_taken_ were returned
    size_t n_taken_ = 0;
    uint64_t n_handed_ = 0;
    uint64_t n_chosen_ = 0;
    Proposal proposal_;
    QueuedDrafts queued_;
    // draft tokens that were not verified, compared with the text: that costs nothing and keeps the acceptance rates
    // up to date
    Proposal shadow_;
    size_t shadow_at_ = 0;
    std::vector<TokenId> tokens_, choices_;

    Took took_ = Took::nothing;  // since entry_ms_
    double entry_ms_ = 0;
    double begin_ms_ = 0;
    double apart_ms_ = 0;        // time of recording since entry_ms_
    bool has_recorded_ = false;  // since then: recorded a program that was not there
    double draft_ms_ = 0;        // making draft tokens since entry_ms_
    uint32_t width_ = 1;
    uint32_t n_got_ = 0;
    SpeculationFigures figures_;
};

}  // namespace atlas
