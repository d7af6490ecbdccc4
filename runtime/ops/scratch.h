#pragma once
// The scratch stack: DryOps, which counts, and every other Ops, which allocates, round sizes by the same rule.

#include <algorithm>
#include <cstdint>

#include "runtime/base/check.h"

namespace atlas {

/// Every scratch tensor starts on this boundary: at least minStorageBufferOffsetAlignment of every Vulkan device (256
/// at most).
inline constexpr uint64_t kScratchAlignmentBytes = 256;

class ScratchStack {
  public:
    /// Takes bytes from the top and returns their offset.
    uint64_t push(uint64_t bytes) {
        const uint64_t offset = top_;
        top_ += (bytes + kScratchAlignmentBytes - 1) / kScratchAlignmentBytes * kScratchAlignmentBytes;
        peak_ = std::max(peak_, top_);
        return offset;
    }
    uint64_t mark() const { return top_; }
    void release(uint64_t mark) {
        ATLAS_CHECK(mark <= top_, "release to {} of {}", mark, top_);
        top_ = mark;
    }
    uint64_t peak_bytes() const { return peak_; }

  private:
    uint64_t top_ = 0;
    uint64_t peak_ = 0;
};

}  // namespace atlas
