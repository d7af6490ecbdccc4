#include "runtime/session/speculation/suffix_automaton.h"

namespace atlas {

namespace {

// How far up the links a new position is propagated. Shorter suffixes keep an older position: still a correct one,
// only not the latest.
constexpr int kMostTold = 32;

}  // namespace

SuffixAutomaton::SuffixAutomaton() : slots_(64, kNone) { add_state(0); }

uint32_t SuffixAutomaton::add_state(uint32_t length) {
    states_.push_back({length});
    return static_cast<uint32_t>(states_.size() - 1);
}

// The slot that holds the edge, or the empty one where it would go.
uint32_t SuffixAutomaton::slot_of(uint32_t state, uint32_t token) const {
    const auto mask = static_cast<uint32_t>(slots_.size() - 1);
    const uint64_t mixed = ((uint64_t{state} << 32) | token) * 0x9E3779B97F4A7C15u;
    auto slot = static_cast<uint32_t>(mixed >> 32) & mask;
    while (slots_[slot] != kNone) {
        const Edge& edge = edges_[slots_[slot]];
        if (edge.from == state && edge.token == token) break;
        slot = (slot + 1) & mask;
    }
    return slot;
}

uint32_t SuffixAutomaton::find(uint32_t state, uint32_t token) const { return slots_[slot_of(state, token)]; }

void SuffixAutomaton::grow_slots() {
    slots_.assign(slots_.size() * 2, kNone);
    for (uint32_t i = 0; i < edges_.size(); ++i) slots_[slot_of(edges_[i].from, edges_[i].token)] = i;
}

void SuffixAutomaton::add_edge(uint32_t from, uint32_t token, uint32_t to) {
    if ((edges_.size() + 1) * 2 > slots_.size()) grow_slots();
    const auto edge = static_cast<uint32_t>(edges_.size());
    slots_[slot_of(from, token)] = edge;
    edges_.push_back({from, token, to, states_[from].first_edge});
    states_[from].first_edge = edge;
}

// The target of (at, token) also represents longer texts, which end in fewer places: splits off a state for the short
// ones.
uint32_t SuffixAutomaton::split(uint32_t state, uint32_t at, uint32_t token) {
    const uint32_t copy = add_state(states_[at].length + 1);
    states_[copy].link = states_[state].link;
    states_[copy].last_end = states_[state].last_end;
    for (uint32_t e = states_[state].first_edge; e != kNone; e = edges_[e].next)
        add_edge(copy, edges_[e].token, edges_[e].to);
    for (uint32_t s = at; s != kNone; s = states_[s].link) {
        const uint32_t edge = find(s, token);
        if (edge == kNone || edges_[edge].to != state) break;
        edges_[edge].to = copy;
    }
    states_[state].link = copy;
    return copy;
}

void SuffixAutomaton::append(uint32_t token) {
    const uint32_t position = n_tokens_++;
    const uint32_t fresh = add_state(n_tokens_);
    states_[fresh].last_end = position;
    uint32_t state = last_;
    uint32_t edge = kNone;
    while (state != kNone && (edge = find(state, token)) == kNone) {
        add_edge(state, token, fresh);
        state = states_[state].link;
    }
    uint32_t link = 0;
    if (state != kNone) {
        link = edges_[edge].to;
        if (states_[link].length != states_[state].length + 1) link = split(link, state, token);
    }
    states_[fresh].link = link;
    last_ = fresh;
    match_ = {states_[link].length, states_[link].last_end + 1};
    for (int told = 0; link != 0 && link != kNone && told < kMostTold; ++told, link = states_[link].link)
        states_[link].last_end = position;
}

}  // namespace atlas
