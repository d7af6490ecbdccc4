#pragma once
// Where a forward pass runs. model/ and session/ use only this interface, so that they build and test without Vulkan.

#include <functional>
#include <memory>
#include <span>

#include "runtime/base/error.h"
#include "runtime/ops/ops.h"

namespace atlas {

/// What a piece of device memory is for; budgets, plans and reports are kept per use.
enum class MemoryUse { weights, kv, scratch, step, output };
inline constexpr int kMemoryUses = 5;

/// A storage begins at a multiple of this and takes whole multiples of it.
inline constexpr uint64_t kStorageAlignmentBytes = 256;
/// Device memory that a storage of `bytes` takes.
constexpr uint64_t storage_bytes(uint64_t bytes) {
    return (bytes + kStorageAlignmentBytes - 1) / kStorageAlignmentBytes * kStorageAlignmentBytes;
}

/// Reserved for pipelines, command buffers and whatever else a driver allocates from device memory to run: an estimate,
/// because no interface reports it. Measured on lavapipe, where pipelines are machine code in the process: 26.7 to 29.3
/// MB for the pipelines of a decoder, prefill and decode, from the cache (Mesa 25.0.7, five models, 2026-11-21,
/// tests/truth). Not measured on a card.
inline constexpr uint64_t kPipelineAllowanceBytes = uint64_t{27} << 20;

struct MemoryBudget {
    uint64_t total_bytes = 0;      // of the largest device-local heap
    uint64_t available_bytes = 0;  // what can still be allocated without evicting other processes
    uint64_t budget_bytes = 0;     // what this process may use now, less a margin; 0: unknown
    uint64_t used_bytes = 0;       // what it uses; exceeds budget_bytes if other processes took memory since
};

/// A forward pass that has been recorded once and can be run any number of times; what changes from run to run lies in
/// step storage.
class Program {
  public:
    virtual ~Program() = default;
};

class Backend {
  public:
    virtual ~Backend() = default;

    /// One line for people: device, driver, and whether it is a software device.
    virtual std::string describe() const = 0;
    virtual MemoryBudget budget() const = 0;
    /// What the backend may still allocate from the same memory for itself, besides storages: upload buffers where they
    /// share it, pipelines.
    virtual uint64_t overhead_bytes() const { return 0; }
    /// Largest single storage it can hand out.
    virtual uint64_t max_storage_bytes() const = 0;
    virtual bool can_read(Format weight_format) const = 0;
    /// How a matrix with rows of `cols` elements should be stored; the loader regroups its blocks. Planar only if
    /// can_be_planar.
    virtual Layout weight_layout(Format, [[maybe_unused]] uint32_t cols) const { return Layout::blocks; }

    /// Announces which storages of a use are allocated next, in this order: the backend then allocates exactly their
    /// bytes, in as few pieces as possible. Other allocations are not affected.
    virtual void expect(MemoryUse, [[maybe_unused]] std::span<const uint64_t> storages_bytes) {}

    /// Fails: out_of_memory (with bytes asked, there, and what would fit). Never over-commits the budget. Contents are
    /// zero, but of weights, which the loader overwrites whole, undefined.
    virtual Result<std::unique_ptr<Storage>> allocate(MemoryUse use, uint64_t bytes, std::string_view name) = 0;

    /// Keeps the storage's first `bytes` (1 .. its size) and frees the rest for the device. The result is a new object:
    /// views of the old one and programs that were recorded with it become invalid, and none of those programs may be
    /// in flight. The new one is allocated before the old one is freed, even beyond the budget; after an expect() of
    /// every storage that shrinks, storages that shared a slab vacate it completely.
    /// Fails: unsupported, out_of_memory, device_lost; then the storage is unchanged.
    virtual Result<void> shrink(std::unique_ptr<Storage>& storage, [[maybe_unused]] uint64_t bytes) {
        return fail(ErrorCode::unsupported, "{}: this backend cannot shrink a storage", storage->name());
    }

    /// Identifies how the rows of a KV cache lie in memory: two backends that return the same number read each other's
    /// cache bytes.
    virtual uint32_t cache_layout() const { return 0; }

    /// Copies bytes into the storage. The span may be reused at once; the device sees them after finish_uploads().
    virtual Result<void> upload(Storage& to, uint64_t offset_bytes, std::span<const std::byte> bytes) = 0;
    virtual Result<void> finish_uploads() = 0;

    /// Sets aside scratch for every later recording (they share it; runs do not overlap). Call once per model, with
    /// DryOps' peak.
    virtual Result<void> reserve_scratch(uint64_t bytes) = 0;
    /// Bytes set aside so far: another model needs that much less.
    virtual uint64_t scratch_bytes() const { return 0; }

    /// Calls `pass` once with an Ops that records. Pipelines it needs are built here, not in run().
    virtual Result<std::unique_ptr<Program>> record(std::string_view name, const std::function<void(Ops&)>& pass) = 0;
    /// Submits and waits. Fails: device_lost, cancelled.
    virtual Result<void> run(Program& program) = 0;

    /// Submits without waiting; what was submitted runs in order, each as if it waited for the one before. The program,
    /// and what it reads and writes, must stay until its ticket was waited for, and it may not be submitted again
    /// before. Where several are under way at once they share no bytes with host writes and reads in between. The
    /// default runs at once. Fails: as run.
    virtual Result<uint64_t> submit(Program& program) {
        ATLAS_TRY_VOID(run(program));
        return 0;
    }
    /// Submits several programs, each once, in one driver call. They run in this order, each as if it waited for the
    /// one before, so that each reads what the previous one wrote without the host in between. Returns the last one's
    /// ticket. Otherwise as submit.
    virtual Result<uint64_t> submit_all(std::span<Program* const> programs) {
        uint64_t ticket = 0;
        for (Program* program : programs) {
            ATLAS_TRY(ticket, submit(*program));
        }
        return ticket;
    }
    /// Waits until the ticket's program, and all submitted before it, have finished. Fails: as run.
    virtual Result<void> wait(uint64_t /*ticket*/) { return {}; }

    /// Small host writes and reads of step and output storages, between runs. No allocation, no command recording.
    virtual void write(Storage& to, uint64_t offset_bytes, std::span<const std::byte> bytes) = 0;
    virtual void read(const Storage& from, uint64_t offset_bytes, std::span<std::byte> bytes) = 0;
};

}  // namespace atlas
