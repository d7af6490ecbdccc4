#pragma once
// Finds the page of the KV cache that holds given tokens after given earlier ones, so that a new timeline reuses what
// is already computed.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "runtime/model/memory_plan.h"

namespace atlas {

/// Keys of the hash; secret from those who send prompts, so that they cannot make prompts whose pages collide.
using HashSecret = std::array<uint64_t, 2>;
/// Keys from the system's random numbers.
HashSecret random_secret();

/// SipHash-2-4 of 32-bit words. Source: Aumasson, Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012.
uint64_t keyed_hash(const HashSecret& secret, uint64_t before, std::span<const uint32_t> words);

/// Knows full pages only. A page is found by the page before it and its own tokens. The tokens themselves are
/// compared; the hash only says where to look.
class PrefixIndex {
  public:
    static constexpr uint32_t kStart = UINT32_MAX;  // in place of the page before the first

    PrefixIndex(uint32_t n_pages, const HashSecret& secret);

    /// The page that holds `tokens` [kPageTokens] after page `before` (kStart, or a page that the index knows).
    std::optional<uint32_t> find(uint32_t before, std::span<const uint32_t> tokens) const;
    /// Adds `page`, which the index does not know: it holds `tokens` [kPageTokens] after `before`. Requires that
    /// find() finds nothing.
    void add(uint32_t page, uint32_t before, std::span<const uint32_t> tokens);
    /// Forgets the page, because its contents change. Pages after it can no longer be found.
    void remove(uint32_t page);
    /// Page p becomes page to[p]. Afterwards there are n_pages pages; the pages that the index knows have numbers
    /// below n_pages, all different.
    void renumber(std::span<const uint32_t> to, uint32_t n_pages);
    bool knows(uint32_t page) const { return entries_.at(page).is_known; }

  private:
    struct Entry {
        bool is_known = false;
        // of this page's contents, so that a successor does not take new contents for the old ones
        uint32_t serial = 0;
        uint32_t before = kStart;
        uint32_t before_serial = 0;
        uint64_t hash = 0;
        std::array<uint32_t, kPageTokens> tokens{};
    };
    uint64_t hash_of(uint32_t before, std::span<const uint32_t> tokens) const;

    HashSecret secret_;
    std::vector<Entry> entries_;  // [n_pages]
    std::unordered_multimap<uint64_t, uint32_t> pages_by_hash_;
};

}  // namespace atlas
