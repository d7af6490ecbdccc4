#pragma once
// Where barriers are needed, derived from what each piece of work declares to read and write. Pure.

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "runtime/vk/memory.h"

namespace atlas::vk {

enum class Access { read, write, read_write };

/// A storage buffer binding of a dispatch with its declared access. The offset must be a multiple of the device's
/// min_storage_buffer_offset_alignment, the size at most max_storage_buffer_range.
struct Binding {
    BufferRange range;
    Access access = Access::read;
};

/// Remembers the byte ranges read and written since the last barrier.
class HazardTracker {
  public:
    /// True if this work must wait for what came before: it reads what was written (RAW), writes what was read (WAR) or
    /// written (WAW). Then the caller puts a barrier, and everything before it is forgotten. Bindings of one dispatch
    /// never conflict with each other.
    bool needs_barrier(std::span<const Binding> bindings);
    void reset();

  private:
    using Intervals = std::map<uint64_t, uint64_t>;  // first byte -> end, disjoint
    struct Touched {
        Intervals read;
        Intervals written;
    };
    std::map<VkBuffer, Touched> buffers_;
};

}  // namespace atlas::vk
