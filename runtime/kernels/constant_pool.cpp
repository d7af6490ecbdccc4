#include "runtime/kernels/constant_pool.h"

#include <algorithm>

namespace atlas {

uint64_t ConstantPool::offset_of(std::span<const std::byte> bytes) {
    for (const Entry& entry : entries_) {
        if (entry.size == bytes.size() &&
            std::equal(bytes.begin(), bytes.end(), bytes_.begin() + std::ptrdiff_t(entry.offset))) {
            return entry.offset;
        }
    }
    const uint64_t offset = (bytes_.size() + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes;
    bytes_.resize(offset);
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    entries_.push_back({offset, bytes.size()});
    return offset;
}

}  // namespace atlas
