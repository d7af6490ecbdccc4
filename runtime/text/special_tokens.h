#pragma once
// Finds tokens that are matched as whole spellings before the text is split: control tokens and user-defined ones.

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/text/vocabulary.h"

namespace atlas {

/// A stretch of plain text, or one token.
struct Fragment {
    std::string_view text;
    std::optional<TokenId> token;
};

/// Immutable and safe to share between threads. Points into the vocabulary, which must outlive it.
class SpecialTokens {
  public:
    explicit SpecialTokens(const Vocabulary& vocabulary);

    /// Cuts `text`. Longer spellings win over shorter ones wherever they are, of equal length the smaller id; the same
    /// spelling is found from left to right. Control and unknown tokens count only when `parse_special`; user-defined
    /// ones always do. O(text + spellings found * text).
    std::vector<Fragment> partition(std::string_view text, bool parse_special) const;

  private:
    struct Special {
        TokenId id;
        std::string_view spelling;
        bool user_defined;
        bool strips_left;   // swallows white space before it
        bool strips_right;  // and after it
    };
    // A state of the automaton of Aho and Corasick (1975): it has read the longest possible beginning of some spelling.
    struct State {
        uint32_t fallback = 0;          // the state of the longest proper suffix
        uint32_t special = UINT32_MAX;  // index into specials_ that ends here
    };
    uint32_t step(uint32_t state, unsigned char byte) const;
    void build_automaton();
    std::vector<bool> occurring(std::string_view text) const;

    std::vector<Special> specials_;  // longest first
    std::vector<State> states_;
    std::vector<uint32_t> breadth_first_;
    std::array<uint32_t, 256> from_root_{};
    std::unordered_map<uint64_t, uint32_t> edges_;  // state << 8 | byte
};

}  // namespace atlas
