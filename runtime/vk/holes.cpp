#include "runtime/vk/holes.h"

#include <algorithm>
#include <iterator>

#include "runtime/base/check.h"

namespace atlas::vk {

std::optional<uint64_t> Holes::take(uint64_t bytes) {
    auto best = holes_.end();
    for (auto hole = holes_.begin(); hole != holes_.end(); ++hole) {
        if (hole->second >= bytes && (best == holes_.end() || hole->second < best->second)) best = hole;
    }
    if (best == holes_.end()) return std::nullopt;
    const auto [offset, size] = *best;
    holes_.erase(best);
    if (size > bytes) holes_.emplace(offset + bytes, size - bytes);
    free_bytes_ -= bytes;
    return offset;
}

void Holes::give(uint64_t offset, uint64_t bytes) {
    const uint64_t given_bytes = bytes;
    const auto after = holes_.lower_bound(offset);
    ATLAS_CHECK(after == holes_.end() || after->first >= offset + bytes, "bytes {}+{} are free already", offset, bytes);
    if (after != holes_.begin()) {
        const auto before = std::prev(after);
        const uint64_t before_end = before->first + before->second;
        ATLAS_CHECK(before_end <= offset, "bytes {}+{} are free already", offset, bytes);
        if (before_end == offset) {
            offset = before->first;
            bytes += before->second;
            holes_.erase(before);
        }
    }
    if (after != holes_.end() && after->first == offset + bytes) {
        bytes += after->second;
        holes_.erase(after);
    }
    holes_.emplace(offset, bytes);
    free_bytes_ += given_bytes;
}

uint64_t Holes::largest_bytes() const {
    uint64_t largest = 0;
    for (const auto& [offset, bytes] : holes_) largest = std::max(largest, bytes);
    return largest;
}

}  // namespace atlas::vk
