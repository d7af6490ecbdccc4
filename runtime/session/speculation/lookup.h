#pragma once
// Drafts by repetition: finds the longest suffix of the text that occurred before in the prompt, the answer or files,
// and proposes what followed it.

#include "runtime/session/speculation/speculator.h"
#include "runtime/session/speculation/suffix_automaton.h"

namespace atlas {

class LookupSpeculator final : public Speculator {
  public:
    /// Most tokens that it remembers, files included: about 100 bytes each.
    static constexpr uint32_t kMostTokens = 1u << 18;

    /// Remembers a text that an answer may quote. Call it before the first begin(). Fails: limit (more than
    /// kMostTokens in all).
    Result<void> add_file(std::span<const uint32_t> tokens);

    /// Keeps what it saw before: when a conversation continues, only its new tokens are added.
    Result<void> begin(std::span<const uint32_t> timeline) override;
    Result<void> accept(uint32_t token) override;
    Result<void> propose(uint32_t most, Proposal& proposal) override;
    void priors(std::span<double> of_class) const override;

    /// The class of a draft token after `length` equal tokens.
    static uint8_t evidence_of(uint32_t length);

  private:
    // An earlier place in the text that the answer may be copying.
    struct Source {
        uint32_t next = 0;       // position of the token that would follow
        uint32_t length = 0;     // equal tokens before it; 0: there is no such place
        bool realigned = false;  // found after the place where a copy ended
    };
    void append(uint32_t token);
    void follow(uint32_t token);
    bool realign();
    void restart(std::span<const uint32_t> timeline);

    SuffixAutomaton automaton_;
    std::vector<uint32_t> text_;
    uint32_t timeline_at_ = 0;  // where the current timeline begins in text_
    std::vector<uint32_t> file_tokens_;
    uint32_t n_separators_ = 0;
    Source source_;
    uint32_t lost_at_ = 0;            // in text_: the token that a long copy expected when it stopped
    uint32_t lost_for_ = UINT32_MAX;  // tokens since then; large: forgotten
};

}  // namespace atlas
