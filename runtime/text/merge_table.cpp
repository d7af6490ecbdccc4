#include "runtime/text/merge_table.h"

#include <bit>

namespace atlas {

MergeTable::MergeTable(size_t n_merges) : slots_(std::bit_ceil(2 * n_merges + 2)), mask_(slots_.size() - 1) {}

void MergeTable::insert(uint32_t left, uint32_t right, Merge merge) {
    const uint64_t key = uint64_t{left} << 32 | right;
    size_t i = slot(key);
    while (slots_[i].key != kEmpty && slots_[i].key != key) i = (i + 1) & mask_;
    if (slots_[i].key == kEmpty) slots_[i] = {key, merge};
}

}  // namespace atlas
