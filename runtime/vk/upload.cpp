#include "runtime/vk/upload.h"

#include <volk.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/base/units.h"
#include "runtime/vk/barrier.h"
#include "runtime/vk/device.h"
#include "runtime/vk/hazard.h"
#include "runtime/vk/submit.h"
#include "runtime/vk/vk_error.h"

namespace atlas::vk {
namespace {

constexpr uint64_t kReadbackBytes = 1 * kMiB;
constexpr size_t kSlots = 3;  // one is filled, one is on its way, one is being waited for
constexpr uint64_t kSlotBytes = kUploadRingBytes / kSlots;

}  // namespace

struct Uploader::State {
    struct Copy {
        BufferRange to;
        uint64_t from_offset_bytes;  // in the slot
    };
    struct Slot {
        BufferRange memory;
        VkCommandBuffer commands = nullptr;
        uint64_t used_bytes = 0;
        uint64_t in_flight = 0;  // timeline value of its last submission
        std::vector<Copy> copies;
    };

    Device& device;
    bool stage_always = false;
    VkCommandPool pool = nullptr;
    bool ring_made = false;  // all of it
    std::array<Slot, kSlots> slots;
    size_t open = 0;  // the slot being filled
    BufferRange readback;

    Result<void> make_ring();
    Result<void> wait_for(Slot& slot);
    Result<void> send();
    Result<void> stage(const BufferRange& to, std::span<const std::byte> bytes);
    void record(const Slot& slot) const;
};

Uploader::Uploader(Device& device) : state_(new State{.device = device, .slots = {}, .readback = {}}) {}

Uploader::~Uploader() {
    State& s = *state_;
    for (const auto& slot : s.slots) {
        if (slot.memory) s.device.memory().release(slot.memory);
    }
    if (s.readback) s.device.memory().release(s.readback);
    if (!s.device.queue().settle()) return;
    vkDestroyCommandPool(s.device.handle(), s.pool, nullptr);
}

void Uploader::stage_always(bool on) { state_->stage_always = on; }

Result<void> Uploader::State::make_ring() {
    if (ring_made) return {};
    for (Slot& slot : slots) {
        if (slot.memory) continue;
        ATLAS_TRY(slot.memory, device.memory().allocate(Memory::kStagingUse, kSlotBytes, "upload ring",
                                                        {.placement = Placement::staging, .zero = false}));
    }
    VkCommandPoolCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    info.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT;
    info.queueFamilyIndex = device.caps().compute_queue_family;
    if (!pool)
        ATLAS_TRY_VOID(check(vkCreateCommandPool(device.handle(), &info, nullptr, &pool), "making the upload ring"));
    device.set_name(pool, VK_OBJECT_TYPE_COMMAND_POOL, "uploads");
    std::array<VkCommandBuffer, kSlots> commands{};
    VkCommandBufferAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    allocate.commandPool = pool;
    allocate.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
    allocate.commandBufferCount = kSlots;
    ATLAS_TRY_VOID(
        check(vkAllocateCommandBuffers(device.handle(), &allocate, commands.data()), "making the upload ring"));
    for (size_t i = 0; i < kSlots; ++i) {
        slots[i].commands = commands[i];
        device.set_name(commands[i], VK_OBJECT_TYPE_COMMAND_BUFFER, fmt::format("upload {}", i));
    }
    ring_made = true;
    return {};
}

void Uploader::State::record(const Slot& slot) const {
    barrier(slot.commands, kEverythingBefore, kDeviceUses);
    HazardTracker tracker;
    for (const Copy& copy : slot.copies) {
        // If two pieces go to the same bytes, the later one wins.
        const Binding written{copy.to, Access::write};
        if (tracker.needs_barrier({&written, 1})) barrier(slot.commands, kDeviceWrites, kDeviceUses);
        const VkBufferCopy region{slot.memory.offset_bytes + copy.from_offset_bytes, copy.to.offset_bytes,
                                  copy.to.bytes};
        vkCmdCopyBuffer(slot.commands, slot.memory.buffer, copy.to.buffer, 1, &region);
    }
}

/// Until its last submission is done: then it can be filled again.
Result<void> Uploader::State::wait_for(Slot& slot) {
    if (!slot.in_flight) return {};
    ATLAS_TRY_VOID(device.queue().wait(slot.in_flight));
    slot.in_flight = 0;
    slot.used_bytes = 0;
    return {};
}

/// Submits the open slot and opens the next one.
Result<void> Uploader::State::send() {
    Slot& slot = slots[open];
    if (slot.copies.empty()) return {};
    ATLAS_TRY_VOID(device.memory().flush(slot.memory.sub(0, slot.used_bytes)));
    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    ATLAS_TRY_VOID(check(vkBeginCommandBuffer(slot.commands, &begin), "recording an upload"));
    record(slot);
    ATLAS_TRY_VOID(check(vkEndCommandBuffer(slot.commands), "recording an upload"));
    ATLAS_TRY(slot.in_flight, device.queue().submit(slot.commands, "an upload"));
    slot.copies.clear();
    open = (open + 1) % kSlots;
    return {};
}

Result<void> Uploader::State::stage(const BufferRange& to, std::span<const std::byte> bytes) {
    ATLAS_TRY_VOID(make_ring());
    uint64_t done_bytes = 0;
    while (done_bytes < bytes.size()) {
        if (slots[open].used_bytes == kSlotBytes) ATLAS_TRY_VOID(send());
        Slot& slot = slots[open];
        ATLAS_TRY_VOID(wait_for(slot));
        const uint64_t count_bytes = std::min<uint64_t>(bytes.size() - done_bytes, kSlotBytes - slot.used_bytes);
        std::memcpy(slot.memory.mapped + slot.used_bytes, bytes.data() + done_bytes, count_bytes);
        slot.copies.push_back({to.sub(done_bytes, count_bytes), slot.used_bytes});
        slot.used_bytes += count_bytes;
        done_bytes += count_bytes;
    }
    return {};
}

Result<void> Uploader::upload(const BufferRange& to, uint64_t first_byte, std::span<const std::byte> bytes) {
    if (bytes.empty()) return {};
    const BufferRange part = to.sub(first_byte, bytes.size());
    if (!part.mapped || state_->stage_always) return state_->stage(part, bytes);
    std::memcpy(part.mapped, bytes.data(), bytes.size());
    return state_->device.memory().flush(part);
}

Result<void> Uploader::finish() {
    State& s = *state_;
    ATLAS_TRY_VOID(s.send());
    for (auto& slot : s.slots) ATLAS_TRY_VOID(s.wait_for(slot));
    return {};
}

Result<void> Uploader::download(const BufferRange& from, uint64_t first_byte, std::span<std::byte> bytes) {
    State& s = *state_;
    if (bytes.empty()) return {};
    ATLAS_TRY_VOID(finish());
    Memory& memory = s.device.memory();
    const BufferRange part = from.sub(first_byte, bytes.size());
    if (memory.reads_fast(part) && !s.stage_always) {
        ATLAS_TRY_VOID(memory.invalidate(part));
        std::memcpy(bytes.data(), part.mapped, bytes.size());
        return {};
    }
    ATLAS_TRY_VOID(s.make_ring());
    if (!s.readback) {
        ATLAS_TRY(s.readback, memory.allocate(Memory::kStagingUse, kReadbackBytes, "readback",
                                              {.placement = Placement::host_read, .zero = false}));
    }
    for (uint64_t done_bytes = 0; done_bytes < bytes.size();) {
        const uint64_t count_bytes = std::min<uint64_t>(bytes.size() - done_bytes, kReadbackBytes);
        ATLAS_TRY_VOID(s.device.queue().run_once("a download", [&](VkCommandBuffer commands) {
            barrier(commands, kEverythingBefore, kDeviceUses);
            const VkBufferCopy region{part.offset_bytes + done_bytes, s.readback.offset_bytes, count_bytes};
            vkCmdCopyBuffer(commands, part.buffer, s.readback.buffer, 1, &region);
            barrier(commands, kDeviceWrites, kHostUses);
        }));
        const BufferRange landed = s.readback.sub(0, count_bytes);
        ATLAS_TRY_VOID(memory.invalidate(landed));
        std::memcpy(bytes.data() + done_bytes, landed.mapped, count_bytes);
        done_bytes += count_bytes;
    }
    return {};
}

Result<void> Uploader::copy(const BufferRange& from, const BufferRange& to) {
    ATLAS_CHECK_EQ(from.bytes, to.bytes);
    ATLAS_TRY_VOID(finish());
    return state_->device.queue().run_once("a copy", [&](VkCommandBuffer commands) {
        barrier(commands, kEverythingBefore, kDeviceUses);
        const VkBufferCopy region{from.offset_bytes, to.offset_bytes, from.bytes};
        vkCmdCopyBuffer(commands, from.buffer, to.buffer, 1, &region);
        barrier(commands, kDeviceWrites, kHostUses);
    });
}

Result<void> Uploader::zero(const BufferRange& range) {
    State& s = *state_;
    // The device clears its own memory faster than the host could over a bus.
    const bool near = s.device.caps().unified_memory || range.bytes <= kMiB;
    if (range.mapped && near) {
        std::memset(range.mapped, 0, range.bytes);
        return s.device.memory().flush(range);
    }
    ATLAS_CHECK(range.offset_bytes % 4 == 0 && range.bytes % 4 == 0, "zeroing {} bytes at {}", range.bytes,
                range.offset_bytes);
    return s.device.queue().run_once("clearing memory", [&](VkCommandBuffer commands) {
        barrier(commands, kEverythingBefore, kDeviceUses);
        vkCmdFillBuffer(commands, range.buffer, range.offset_bytes, range.bytes, 0);
        barrier(commands, kDeviceWrites, kHostUses);
    });
}

}  // namespace atlas::vk
