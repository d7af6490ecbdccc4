#pragma once
// Where a forward pass runs. model/ and session/ know this interface alone, so that they build and test without Vulkan.

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
/// What a storage of so many bytes takes of the device.
constexpr uint64_t storage_bytes(uint64_t bytes) { return (bytes + kStorageAlignmentBytes - 1) / kStorageAlignmentBytes * kStorageAlignmentBytes; }

/// Kept for pipelines, command buffers and what else a driver takes of the device's memory to run: an allowance, because no interface tells.
/// Measured on lavapipe, where pipelines are machine code in the process: 26.7 to 29.3 MB for the pipelines of a decoder, prefill and decode,
/// from the cache (Mesa 25.0.7, five models, 2026-11-21, tests/truth). Not measured on a card.
inline constexpr uint64_t kPipelineAllowanceBytes = uint64_t{27} << 20;

struct MemoryBudget {
    uint64_t total_bytes = 0;      // of the largest device-local heap
    uint64_t available_bytes = 0;  // what may still be allocated without pushing anybody out
    uint64_t budget_bytes = 0;     // what this process may use as things stand, with a margin taken off; 0: nobody tells
    uint64_t used_bytes = 0;       // what it uses: more than budget_bytes when others took memory since
};

/// A forward pass that has been recorded once and can be run any number of times; what changes from run to run lies in step storage.
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
    /// What it may still take of the same memory for itself, besides storages: upload buffers where they share it, pipelines.
    virtual uint64_t overhead_bytes() const { return 0; }
    /// Largest single storage it can hand out.
    virtual uint64_t max_storage_bytes() const = 0;
    virtual bool can_read(Format weight_format) const = 0;
    /// How a matrix with rows of `cols` elements should be stored; who loads it regroups its blocks. Planar only if can_be_planar.
    virtual Layout weight_layout(Format, [[maybe_unused]] uint32_t cols) const { return Layout::blocks; }

    /// Says which storages of a use are asked for next, in this order: the device is then asked for just their bytes, in as few pieces as
    /// possible. Whatever else comes is allocated as ever.
    virtual void expect(MemoryUse, [[maybe_unused]] std::span<const uint64_t> storages_bytes) {}

    /// Fails: out_of_memory (with bytes asked, there, and what would fit). Never over-commits the budget. Contents are
    /// zero, but of weights, which the loader overwrites whole, undefined.
    virtual Result<std::unique_ptr<Storage>> allocate(MemoryUse use, uint64_t bytes, std::string_view name) = 0;

    /// Gives back to the device what lies behind the storage's first `bytes` (at most what it has, at least 1); those stay. It is another object
    /// afterwards: views of the old one and programs that were recorded with it are void, and none of them may be under way. The new one is
    /// taken before the old one goes, also beyond the budget; after an expect() of all that shrinks, storages that shared memory leave it whole.
    /// Fails: unsupported, out_of_memory, device_lost; then the storage is what it was.
    virtual Result<void> shrink(std::unique_ptr<Storage>& storage, [[maybe_unused]] uint64_t bytes) {
        return fail(ErrorCode::unsupported, "{}: this backend makes no storage smaller", storage->name());
    }

    /// Names how the rows of a KV cache lie in memory: bytes of a cache mean the same on backends that give the same number.
    virtual uint32_t cache_layout() const { return 0; }

    /// Copies bytes into the storage. The span may be reused at once; the device sees them after finish_uploads().
    virtual Result<void> upload(Storage& to, uint64_t offset_bytes, std::span<const std::byte> bytes) = 0;
    virtual Result<void> finish_uploads() = 0;

    /// Sets aside scratch for every later recording (they share it; runs do not overlap). Call once per model, with DryOps' peak.
    virtual Result<void> reserve_scratch(uint64_t bytes) = 0;
    /// What was set aside: another model needs as much less.
    virtual uint64_t scratch_bytes() const { return 0; }

    /// Calls `pass` once with an Ops that records. Pipelines it needs are built here, not in run().
    virtual Result<std::unique_ptr<Program>> record(std::string_view name, const std::function<void(Ops&)>& pass) = 0;
    /// Submits and waits. Fails: device_lost, cancelled.
    virtual Result<void> run(Program& program) = 0;

    /// Submits without waiting; what was submitted runs in order, each as if it waited for the one before. The program, and what it reads
    /// and writes, must stay until its ticket was waited for, and it may not be submitted again before. Where several are under way at once
    /// they share no bytes with host writes and reads in between. The default runs at once. Fails: as run.
    virtual Result<uint64_t> submit(Program& program) {
        ATLAS_TRY_VOID(run(program));
        return 0;
    }
    /// Submits several programs, each once, in one call of the driver; in this order, each as if it waited for the one before, so that what one
    /// writes the next one reads, and no host stands between. The ticket is the last one's. All else as submit.
    virtual Result<uint64_t> submit_all(std::span<Program* const> programs) {
        uint64_t ticket = 0;
        for (Program* program : programs) {
            ATLAS_TRY(ticket, submit(*program));
        }
        return ticket;
    }
    /// Waits for what a submit of this backend gave, and for all before it. Fails: as run.
    virtual Result<void> wait(uint64_t /*ticket*/) { return {}; }

    /// Small host writes and reads of step and output storages, between runs. No allocation, no command recording.
    virtual void write(Storage& to, uint64_t offset_bytes, std::span<const std::byte> bytes) = 0;
    virtual void read(const Storage& from, uint64_t offset_bytes, std::span<std::byte> bytes) = 0;
};

}  // namespace atlas
