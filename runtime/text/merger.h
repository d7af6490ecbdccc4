#pragma once
// The merge loop of byte-pair encoding, for both byte-level BPE and SPM.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace atlas {

/// Applies merges to the symbols of one word until none applies: always the one of the lowest rank, of equals the
/// leftmost. O(n log n) in the length of the word. Keeps its work space from word to word; one per thread.
template <class Symbol>
class Merger {
  public:
    static constexpr uint32_t kNoMerge = UINT32_MAX;

    /// `find(left, right)` gives the rank of the merge of two neighbours (kNoMerge: they stay two) and the symbol they
    /// become; two pairs may share a rank. Rewrites `symbols` and returns how many are left. Requires fewer than 2^32 -
    /// 1 symbols.
    template <class Find>  // std::pair<uint32_t, Symbol>(const Symbol&, const Symbol&)
    size_t merge(std::span<Symbol> symbols, const Find& find) {
        if (symbols.size() < 2) return symbols.size();
        return symbols.size() <= kShort ? merge_short(symbols, find) : merge_long(symbols, find);
    }

  private:
    // Up to here scanning beats a heap; most words have under ten bytes.
    static constexpr size_t kShort = 48;

    template <class Find>
    size_t merge_short(std::span<Symbol> symbols, const Find& find);
    template <class Find>
    size_t merge_long(std::span<Symbol> symbols, const Find& find);

    // Of the pair that begins at each position:
    std::vector<uint32_t> ranks_;
    std::vector<Symbol> results_;
    // The list of those still there, and the pairs by rank << 32 | position, smallest on top.
    std::vector<uint32_t> next_, previous_;
    std::vector<uint64_t> heap_;
};

template <class Symbol>
template <class Find>
size_t Merger<Symbol>::merge_short(std::span<Symbol> symbols, const Find& find) {
    uint32_t ranks[kShort];
    Symbol results[kShort];
    size_t n = symbols.size();
    const auto look = [&](size_t i) { std::tie(ranks[i], results[i]) = find(symbols[i], symbols[i + 1]); };
    for (size_t i = 0; i + 1 < n; ++i) look(i);
    while (n > 1) {
        const auto best = static_cast<size_t>(std::min_element(ranks, ranks + n - 1) - ranks);
        if (ranks[best] == kNoMerge) break;
        symbols[best] = results[best];
        std::copy(symbols.data() + best + 2, symbols.data() + n, symbols.data() + best + 1);
        --n;
        if (best + 1 < n) {
            std::copy(ranks + best + 2, ranks + n, ranks + best + 1);
            std::copy(results + best + 2, results + n, results + best + 1);
            look(best);
        }
        if (best > 0) look(best - 1);
    }
    return n;
}

template <class Symbol>
template <class Find>
size_t Merger<Symbol>::merge_long(std::span<Symbol> symbols, const Find& find) {
    const auto n = static_cast<uint32_t>(symbols.size());
    ranks_.resize(n), results_.resize(n), next_.resize(n), previous_.resize(n);
    heap_.clear();
    const auto after = std::greater<uint64_t>();
    const auto look = [&](uint32_t i) {
        ranks_[i] = kNoMerge;
        if (next_[i] < n) std::tie(ranks_[i], results_[i]) = find(symbols[i], symbols[next_[i]]);
        if (ranks_[i] != kNoMerge) heap_.push_back(uint64_t{ranks_[i]} << 32 | i);
        return ranks_[i] != kNoMerge;
    };
    for (uint32_t i = 0; i < n; ++i) next_[i] = i + 1, previous_[i] = i - 1;
    for (uint32_t i = 0; i < n; ++i) look(i);
    std::make_heap(heap_.begin(), heap_.end(), after);
    while (!heap_.empty()) {
        std::pop_heap(heap_.begin(), heap_.end(), after);
        const auto rank = static_cast<uint32_t>(heap_.back() >> 32);
        const auto at = static_cast<uint32_t>(heap_.back());
        heap_.pop_back();
        if (ranks_[at] != rank) continue;  // one of the two has changed since
        const uint32_t gone = next_[at];
        symbols[at] = results_[at];
        next_[at] = next_[gone];
        if (next_[gone] < n) previous_[next_[gone]] = at;
        ranks_[gone] = kNoMerge;
        if (look(at)) std::push_heap(heap_.begin(), heap_.end(), after);
        if (at > 0 && look(previous_[at])) std::push_heap(heap_.begin(), heap_.end(), after);
    }
    size_t kept = 0;
    for (uint32_t i = 0; i < n; i = next_[i]) symbols[kept++] = symbols[i];
    return kept;
}

}  // namespace atlas
