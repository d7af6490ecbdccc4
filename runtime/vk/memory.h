#pragma once
// Device memory: a few large slabs (one VkDeviceMemory with one VkBuffer over all of it), handed out in ranges.
// Never over-commits: the budget is checked before every slab, except one that replaces a larger one.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/vk/handles.h"

namespace atlas::vk {

class Device;

/// Bytes of a slab. A plain value: copying it owns nothing; Memory::release frees the whole allocation.
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
    bool beyond_budget = false;  // it replaces a larger allocation that is freed immediately
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

    /// A range aligned to kAlignment. `use` is a small number of the caller's (0..14) that slabs and statistics are
    /// kept by. Fails: out_of_memory (asked, available, who holds what, what would fit), limit (larger than one
    /// allocation can be).
    Result<BufferRange> allocate(int use, uint64_t bytes, std::string_view name, const AllocateOptions& options = {});
    /// Frees an allocated range (as allocate returned it) once the device has finished all submitted work. If it never
    /// finishes, the range stays allocated until the process ends.
    void release(const BufferRange& range);

    /// Announces which ranges of `use` are allocated next, in this order: they get few new slabs of exactly their size,
    /// none larger than a GiB (or share_at_most) unless a single range is. Replaces an earlier expectation. Allocating
    /// any other range of the use ends it.
    void expect(int use, std::span<const uint64_t> ranges_bytes);
    /// Expected ranges of the use share slabs of at most this size, so that they can be freed for the device piece by
    /// piece.
    void share_at_most(int use, uint64_t bytes);

    /// Replaces an allocated range by one with its first `bytes`; both exist for a moment, even beyond the budget. The
    /// device must have finished using it. Fails: out_of_memory (the driver refuses), device_lost; then nothing has
    /// changed.
    Result<BufferRange> shrink(const BufferRange& range, uint64_t bytes, std::string_view name);

    /// Largest single allocation that the device takes, whether or not it is free now.
    uint64_t max_range_bytes() const;
    /// The heap that Placement::device uses, read afresh.
    HeapState heap() const;
    std::vector<UseStatistics> statistics() const;  // uses that hold or held something
    void name_use(int use, std::string_view name);  // for messages: "weights"

    /// Makes host writes to a mapped range visible to the device, and device writes to the host. Nothing to do on
    /// coherent memory.
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
