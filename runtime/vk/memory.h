#pragma once
// Device memory: a few large slabs (one VkDeviceMemory with one VkBuffer over all of it), handed out in ranges.
// Never over-commits: the budget is asked before every slab, but of one that replaces a larger one.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/vk/handles.h"

namespace atlas::vk {

class Device;

/// Bytes of a slab. A plain value: copying it owns nothing; Memory::release gives the whole allocation back.
struct BufferRange {
    VkBuffer buffer = nullptr;
    uint64_t offset_bytes = 0;  // in the buffer
    uint64_t bytes = 0;
    std::byte* mapped = nullptr;  // of offset_bytes; null if the host cannot see it
    uint32_t slab = 0;

    BufferRange sub(uint64_t first_byte, uint64_t count_bytes) const;
    explicit operator bool() const { return buffer != nullptr; }
};

/// Where a range should live.
enum class Placement {
    device,      // fastest for the device; mapped only where that costs nothing
    host_write,  // always mapped: written by the host, read by the device (step buffers)
    host_read,   // always mapped and cached: written by the device, read by the host (logits)
    staging,     // always mapped, away from the device: written by the host once, copied by the device
};

struct AllocateOptions {
    Placement placement = Placement::device;
    bool zero = true;
    bool beyond_budget = false;  // it takes the place of something larger that goes at once
};

struct HeapState {
    uint64_t total_bytes = 0;
    uint64_t budget_bytes = 0;     // what this process may use of it, after clamping, quirks, margin and limit
    uint64_t unlimited_bytes = 0;  // the same without the limit
    uint64_t used_bytes = 0;       // by this process: what the driver counts or our slabs, the larger
    uint64_t available_bytes = 0;  // what may still be allocated
};

struct UseStatistics {
    int use = 0;
    uint64_t asked_bytes = 0;  // live ranges
    uint64_t slab_bytes = 0;   // what they occupy of the device
    uint64_t peak_slab_bytes = 0;
    uint32_t ranges = 0;
    uint32_t slabs = 0;
};

class Memory {
  public:
    static constexpr uint64_t kAlignment = 256;
    static constexpr int kStagingUse = 15;  // the uploader's own; callers take 0..14

    explicit Memory(Device& device);
    ~Memory();

    /// A range aligned to kAlignment. `use` is a small number of the caller's (0..14) that slabs and statistics are kept by.
    /// Fails: out_of_memory (asked, available, who holds what, what would fit), limit (larger than one allocation can be).
    Result<BufferRange> allocate(int use, uint64_t bytes, std::string_view name, const AllocateOptions& options = {});
    /// Gives an allocated range (as it came from allocate) back, once the device is done with all that was submitted. Where that does not end, the
    /// range stays taken for good.
    void release(const BufferRange& range);

    /// Says which ranges of `use` follow, in this order: they get few slabs of just their size, none larger than a GiB (or share_at_most) where a
    /// range is not, and none that was there before. Replaces what was expected before. Another range in between ends the expectation.
    void expect(int use, std::span<const uint64_t> ranges_bytes);
    /// Ranges of the use that are expected share no more than this, so that they can be given back piece by piece.
    void share_at_most(int use, uint64_t bytes);

    /// A range of the first `bytes` of an allocated one, which goes; both are there for a moment, also beyond the budget. The device must be done
    /// with it. Fails: out_of_memory (the driver refuses), device_lost; then nothing has changed.
    Result<BufferRange> shrink(const BufferRange& range, uint64_t bytes, std::string_view name);

    /// Largest single allocation that the device takes, whether or not it is free now.
    uint64_t max_range_bytes() const;
    /// The heap that Placement::device uses, read afresh.
    HeapState heap() const;
    std::vector<UseStatistics> statistics() const;  // uses that hold or held something
    void name_use(int use, std::string_view name);  // for messages: "weights"

    /// Makes host writes to a mapped range visible to the device, and device writes to the host. Nothing to do on coherent memory.
    Result<void> flush(const BufferRange& range);
    Result<void> invalidate(const BufferRange& range);
    /// True if the range is mapped and host reads of it go through the CPU's caches.
    bool reads_fast(const BufferRange& range) const;

    /// True if Placement::device gives mapped memory here.
    bool device_memory_is_mapped() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace atlas::vk
