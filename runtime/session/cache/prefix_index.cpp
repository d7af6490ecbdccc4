#include "runtime/session/cache/prefix_index.h"

#include <algorithm>
#include <bit>
#include <random>

namespace atlas {

HashSecret random_secret() {
    std::random_device system;
    const auto word = [&] { return uint64_t{system()} << 32 | system(); };
    return {word(), word()};
}

uint64_t keyed_hash(const HashSecret& secret, uint64_t before, std::span<const uint32_t> words) {
    uint64_t a = secret[0] ^ 0x736f6d6570736575, b = secret[1] ^ 0x646f72616e646f6d;
    uint64_t c = secret[0] ^ 0x6c7967656e657261, d = secret[1] ^ 0x7465646279746573;
    const auto round = [&] {
        a += b, b = std::rotl(b, 13) ^ a, a = std::rotl(a, 32);
        c += d, d = std::rotl(d, 16) ^ c;
        a += d, d = std::rotl(d, 21) ^ a;
        c += b, b = std::rotl(b, 17) ^ c, c = std::rotl(c, 32);
    };
    const auto take = [&](uint64_t word) {
        d ^= word;
        round(), round();
        a ^= word;
    };
    take(before);
    for (size_t i = 0; i + 1 < words.size(); i += 2) take(words[i] | uint64_t{words[i + 1]} << 32);
    const uint64_t n_bytes = sizeof(before) + words.size_bytes();
    take(n_bytes << 56 | (words.size() % 2 == 1 ? words.back() : 0));
    c ^= 0xff;
    for (int i = 0; i < 4; ++i) round();
    return a ^ b ^ c ^ d;
}

PrefixIndex::PrefixIndex(uint32_t n_pages, const HashSecret& secret) : secret_(secret), entries_(n_pages) {
    pages_by_hash_.reserve(n_pages);
}

uint64_t PrefixIndex::hash_of(uint32_t before, std::span<const uint32_t> tokens) const {
    ATLAS_CHECK_EQ(tokens.size(), size_t{kPageTokens});
    ATLAS_CHECK(before == kStart || knows(before), "page {} is not in the index", before);
    return keyed_hash(secret_, before == kStart ? 0 : entries_[before].hash, tokens);
}

std::optional<uint32_t> PrefixIndex::find(uint32_t before, std::span<const uint32_t> tokens) const {
    const auto [first, last] = pages_by_hash_.equal_range(hash_of(before, tokens));
    for (auto it = first; it != last; ++it) {
        const Entry& entry = entries_[it->second];
        if (entry.before != before || (before != kStart && entry.before_serial != entries_[before].serial)) continue;
        if (std::equal(tokens.begin(), tokens.end(), entry.tokens.begin())) return it->second;
    }
    return std::nullopt;
}

void PrefixIndex::add(uint32_t page, uint32_t before, std::span<const uint32_t> tokens) {
    Entry& entry = entries_.at(page);
    ATLAS_CHECK(!entry.is_known && page != before, "page {} twice in the index", page);
    entry.hash = hash_of(before, tokens);
    entry.is_known = true;
    ++entry.serial;
    entry.before = before;
    entry.before_serial = before == kStart ? 0 : entries_[before].serial;
    std::copy(tokens.begin(), tokens.end(), entry.tokens.begin());
    pages_by_hash_.emplace(entry.hash, page);
}

void PrefixIndex::renumber(std::span<const uint32_t> to, uint32_t n_pages) {
    ATLAS_CHECK_EQ(to.size(), entries_.size());
    std::vector<Entry> entries(n_pages);
    pages_by_hash_.clear();
    for (size_t page = 0; page < to.size(); ++page) {
        Entry& entry = entries_[page];
        if (!entry.is_known) continue;
        // Pages after one that is gone cannot be found, and must not be found through the next page with its number.
        const bool stands = entry.before == kStart ||
                            (entries_[entry.before].is_known && entries_[entry.before].serial == entry.before_serial);
        if (!stands) {  // a page never follows itself, so this entry cannot be found
            entry.before = static_cast<uint32_t>(page);
            entry.before_serial = entry.serial - 1;
        }
        if (entry.before != kStart) entry.before = to[entry.before];
        entries[to[page]] = entry;
        pages_by_hash_.emplace(entry.hash, to[page]);
    }
    entries_ = std::move(entries);
}

void PrefixIndex::remove(uint32_t page) {
    Entry& entry = entries_.at(page);
    ATLAS_CHECK(entry.is_known, "page {} is not in the index", page);
    const auto [first, last] = pages_by_hash_.equal_range(entry.hash);
    const auto mine = std::find_if(first, last, [page](const auto& pair) { return pair.second == page; });
    ATLAS_CHECK(mine != last, "page {} has no hash", page);
    pages_by_hash_.erase(mine);
    entry.is_known = false;
}

}  // namespace atlas
