#pragma once
// The merges of a BPE vocabulary as numbers: which two neighbours become one, and in what order.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace atlas {

struct Merge {
    uint32_t rank = UINT32_MAX;  // smaller is earlier
    uint32_t result = 0;
};

/// A hash table of pairs of symbols. Open addressing, at most half full.
class MergeTable {
  public:
    explicit MergeTable(size_t n_merges);
    /// A pair that is there already keeps its rank.
    void insert(uint32_t left, uint32_t right, Merge merge);
    /// rank is UINT32_MAX when the two do not merge.
    Merge find(uint32_t left, uint32_t right) const {
        const uint64_t key = uint64_t{left} << 32 | right;
        for (size_t i = slot(key);; i = (i + 1) & mask_) {
            if (slots_[i].key == key) return slots_[i].merge;
            if (slots_[i].key == kEmpty) return {};
        }
    }

  private:
    static constexpr uint64_t kEmpty = UINT64_MAX;
    struct Slot {
        uint64_t key = kEmpty;
        Merge merge;
    };
    size_t slot(uint64_t key) const {
        key *= 0x9E3779B97F4A7C15ull;  // Fibonacci hashing: the high bits are well mixed
        return static_cast<size_t>(key >> 32 ^ key >> 47) & mask_;
    }
    std::vector<Slot> slots_;
    size_t mask_ = 0;
};

}  // namespace atlas
