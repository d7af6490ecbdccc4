#pragma once
// Finds, as a text grows, its longest suffix that occurred before.

#include <cstdint>
#include <vector>

namespace atlas {

/// An online suffix automaton over token ids: append and the query are O(1) amortized. About 100 bytes per token.
/// Source: Blumer, Blumer, Haussler, Ehrenfeucht, Chen, Seiferas, "The smallest automaton recognizing the subwords of
/// a text", 1985.
class SuffixAutomaton {
  public:
    struct Match {
        uint32_t length = 0;  // of the longest suffix of the text that also ends earlier; it may overlap itself
        uint32_t next = 0;    // position of the token after such an earlier occurrence, a late one; with length > 0
    };

    SuffixAutomaton();
    void append(uint32_t token);
    /// The result after the last append.
    const Match& match() const { return match_; }
    uint32_t size() const { return n_tokens_; }

  private:
    static constexpr uint32_t kNone = UINT32_MAX;
    struct State {
        uint32_t length = 0;    // of the longest text that leads here
        uint32_t link = kNone;  // the state of its longest suffix that is more frequent
        uint32_t last_end = 0;  // a position at which it ends
        uint32_t first_edge = kNone;
    };
    struct Edge {
        uint32_t from, token, to;
        uint32_t next;  // of the same state
    };

    uint32_t add_state(uint32_t length);
    uint32_t find(uint32_t state, uint32_t token) const;  // an edge or kNone
    void add_edge(uint32_t from, uint32_t token, uint32_t to);
    void grow_slots();
    uint32_t slot_of(uint32_t state, uint32_t token) const;
    uint32_t split(uint32_t state, uint32_t at, uint32_t token);

    std::vector<State> states_;
    std::vector<Edge> edges_;
    std::vector<uint32_t> slots_;  // open addressing by (from, token): index of an edge or kNone
    uint32_t last_ = 0;
    uint32_t n_tokens_ = 0;
    Match match_;
};

}  // namespace atlas
