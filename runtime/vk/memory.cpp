#include "runtime/vk/memory.h"

#include <volk.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <map>
#include <optional>

#include "runtime/base/check.h"
#include "runtime/base/units.h"
#include "runtime/vk/device.h"
#include "runtime/vk/holes.h"
#include "runtime/vk/memory_type.h"
#include "runtime/vk/slab_size.h"
#include "runtime/vk/submit.h"
#include "runtime/vk/upload.h"
#include "runtime/vk/vk_error.h"

namespace atlas::vk {
namespace {

constexpr int kMaxUses = 16;

uint64_t round_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

}  // namespace

BufferRange BufferRange::sub(uint64_t first_byte, uint64_t count_bytes) const {
    ATLAS_CHECK(first_byte <= bytes && count_bytes <= bytes - first_byte, "bytes {}+{} of {}", first_byte, count_bytes,
                bytes);
    return {buffer, offset_bytes + first_byte, count_bytes, mapped ? mapped + first_byte : nullptr, slab};
}

/// One VkDeviceMemory with one VkBuffer over all of it.
struct Slab {
    VkDeviceMemory memory = nullptr;
    VkBuffer buffer = nullptr;
    std::byte* mapped = nullptr;
    uint32_t type = 0;
    uint64_t memory_bytes = 0;  // what the device gives for it; the buffer may be a little smaller
    int use = 0;
    Placement placement = Placement::device;
    Holes holes;
    std::map<uint64_t, uint64_t> live;  // offset -> bytes asked for
};

struct Memory::State {
    Device& device;
    std::map<uint32_t, Slab> slabs;  // by a number that is never used again
    uint32_t next_slab = 1;
    struct Use {
        std::string name;
        std::deque<uint64_t> expected;  // what the next ranges take
        uint32_t expected_from = 0;     // the first slab that they may lie in
        uint64_t most_shared_bytes = kGiB;
        UseStatistics statistics;
    };
    std::array<Use, kMaxUses> uses;

    const DeviceCaps& caps() const { return device.caps(); }
    std::string use_name(int use) const {
        return uses[size_t(use)].name.empty() ? fmt::format("use {}", use) : uses[size_t(use)].name;
    }

    uint64_t ours_bytes(uint32_t heap) const {
        uint64_t bytes = 0;
        for (const auto& [id, slab] : slabs)
            bytes += caps().memory_types[slab.type].heap == heap ? slab.memory_bytes : 0;
        return bytes;
    }

    HeapState heap(uint32_t index) const;
    void destroy(Slab& slab);
    Result<Slab> make(int use, uint64_t bytes, uint64_t available_bytes, Placement placement, uint32_t id);
    Result<uint32_t> add_slab(int use, uint64_t needed_bytes, std::string_view name, const AllocateOptions& options);
    Error no_room(int use, uint64_t bytes, std::string_view name, uint32_t heap_index, const HeapState& heap) const;
    void count_slab(int use, uint64_t bytes, bool added);
};

HeapState Memory::State::heap(uint32_t index) const {
    const std::vector<MemoryHeap> heaps = read_heaps(device.physical(), caps().memory_budget);
    ATLAS_CHECK(index < heaps.size(), "heap {} of {}", index, heaps.size());
    const MainHeap main = main_heap(caps());
    const bool is_main = main.found && main.index == index;
    return heap_state(heaps[index], ours_bytes(index), device.quirks(),
                      is_main ? device.options().memory_limit_bytes : std::nullopt, is_main);
}

void Memory::State::destroy(Slab& slab) {
    vkDestroyBuffer(device.handle(), slab.buffer, nullptr);
    vkFreeMemory(device.handle(), slab.memory, nullptr);  // unmaps
}

void Memory::State::count_slab(int use, uint64_t bytes, bool added) {
    UseStatistics& statistics = uses[size_t(use)].statistics;
    statistics.slab_bytes += added ? bytes : -bytes;
    statistics.slabs += added ? 1 : -1;
    statistics.peak_slab_bytes = std::max(statistics.peak_slab_bytes, statistics.slab_bytes);
}

Error Memory::State::no_room(int use, uint64_t bytes, std::string_view name, uint32_t heap_index,
                             const HeapState& heap) const {
    std::string held;
    for (int i = 0; i < kMaxUses; ++i) {
        const uint64_t held_bytes = uses[size_t(i)].statistics.slab_bytes;
        if (held_bytes > 0)
            held += fmt::format("{}{} {}", held.empty() ? "" : ", ", use_name(i), bytes_text(held_bytes));
    }
    return {
        ErrorCode::out_of_memory,
        fmt::format("{} of device memory asked for {} (\"{}\"), {} available: heap {} of {} has {}, its budget "
                    "for this process is {}, of which {} are held ({}). "
                    "At most {} more would fit: take a smaller model or quantization, a shorter context, or close "
                    "other programs that "
                    "use the device",
                    bytes_text(bytes), use_name(use), name, bytes_text(heap.available_bytes), heap_index, caps().name,
                    bytes_text(heap.total_bytes), bytes_text(heap.budget_bytes), bytes_text(ours_bytes(heap_index)),
                    held.empty() ? "nothing" : held, bytes_text(heap.available_bytes))};
}

Result<Slab> Memory::State::make(int use, uint64_t bytes, uint64_t available_bytes, Placement placement, uint32_t id) {
    Slab slab{.use = use, .placement = placement, .holes = Holes(bytes), .live = {}};
    VkBufferCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = bytes;
    info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT;
    ATLAS_TRY_VOID(check(vkCreateBuffer(device.handle(), &info, nullptr, &slab.buffer), "making a buffer"));
    VkMemoryRequirements needs{};
    vkGetBufferMemoryRequirements(device.handle(), slab.buffer, &needs);
    const auto type = memory_type_for(caps(), needs.memoryTypeBits, placement);
    Result<void> done;
    if (!type) done = fail(ErrorCode::unsupported, "{} has no memory for such buffers", caps().name);
    // The driver may round up.
    if (needs.size > available_bytes)
        done = fail(ErrorCode::out_of_memory, "{} bytes are needed for a slab of {}", needs.size, bytes);
    if (done) {
        slab.type = *type;
        slab.memory_bytes = needs.size;
        VkMemoryAllocateInfo allocate{};
        allocate.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
        allocate.allocationSize = needs.size;
        allocate.memoryTypeIndex = *type;
        done = check(vkAllocateMemory(device.handle(), &allocate, nullptr, &slab.memory), "allocating device memory");
    }
    if (done) done = check(vkBindBufferMemory(device.handle(), slab.buffer, slab.memory, 0), "binding a buffer");
    if (done && caps().memory_types[slab.type].host_visible) {
        void* mapped = nullptr;
        done = check(vkMapMemory(device.handle(), slab.memory, 0, VK_WHOLE_SIZE, 0, &mapped), "mapping device memory");
        slab.mapped = static_cast<std::byte*>(mapped);
    }
    if (!done) {
        destroy(slab);
        return tl::unexpected(std::move(done).error());
    }
    const std::string name = fmt::format("slab {} ({})", id, use_name(use));
    device.set_name(slab.buffer, VK_OBJECT_TYPE_BUFFER, name);
    device.set_name(slab.memory, VK_OBJECT_TYPE_DEVICE_MEMORY, name);
    return slab;
}

Result<uint32_t> Memory::State::add_slab(int use, uint64_t needed_bytes, std::string_view name,
                                         const AllocateOptions& options) {
    const Placement placement = options.placement;
    // Buffers of one usage may live in the same types whatever their size (Vulkan promises it), so all types are asked
    // about here.
    const auto type = memory_type_for(caps(), UINT32_MAX, placement);
    if (!type) return fail(ErrorCode::out_of_memory, "{} has no memory that programs can allocate", caps().name);
    const uint32_t heap_index = caps().memory_types[*type].heap;
    HeapState state = heap(heap_index);
    if (options.beyond_budget) state.available_bytes = state.total_bytes;
    if (needed_bytes > state.available_bytes)
        return tl::unexpected(no_room(use, needed_bytes, name, heap_index, state));

    Use& of = uses[size_t(use)];
    uint64_t bytes = slab_bytes({.needed_bytes = needed_bytes,
                                 .held_bytes = of.statistics.slab_bytes,
                                 .expected = {of.expected.begin(), of.expected.end()},
                                 .available_bytes = state.available_bytes,
                                 .most_shared_bytes = of.most_shared_bytes,
                                 .max_bytes = device.quirks().max_slab_bytes});
    const uint32_t id = next_slab++;
    auto slab = make(use, bytes, state.available_bytes, placement, id);
    if (!slab && slab.error().code == ErrorCode::out_of_memory && bytes > needed_bytes) {
        bytes = needed_bytes;
        slab = make(use, bytes, state.available_bytes, placement, id);
    }
    if (!slab) {
        if (slab.error().code != ErrorCode::out_of_memory) return tl::unexpected(std::move(slab).error());
        // The driver has less memory than it reported.
        Error error = no_room(use, needed_bytes, name, heap_index, state);
        error.message += fmt::format(" (the driver refused {} though its budget has room)", bytes_text(needed_bytes));
        return tl::unexpected(std::move(error));
    }
    count_slab(use, slab->memory_bytes, true);
    slabs.emplace(id, std::move(*slab));
    return id;
}

Memory::Memory(Device& device) : state_(new State{.device = device, .slabs = {}, .uses = {}}) {
    for (int i = 0; i < kMaxUses; ++i) state_->uses[size_t(i)].statistics.use = i;
    name_use(kStagingUse, "staging");
}

Memory::~Memory() {
    for (auto& [id, slab] : state_->slabs) state_->destroy(slab);
}

void Memory::name_use(int use, std::string_view name) {
    ATLAS_CHECK(use >= 0 && use < kMaxUses, "use {}", use);
    state_->uses[size_t(use)].name = name;
}

void Memory::expect(int use, std::span<const uint64_t> ranges_bytes) {
    ATLAS_CHECK(use >= 0 && use < kMaxUses, "use {}", use);
    State::Use& of = state_->uses[size_t(use)];
    of.expected.clear();
    for (const uint64_t bytes : ranges_bytes) of.expected.push_back(round_up(bytes, kAlignment));
    of.expected_from = state_->next_slab;
}

void Memory::share_at_most(int use, uint64_t bytes) {
    ATLAS_CHECK(use >= 0 && use < kMaxUses, "use {}", use);
    state_->uses[size_t(use)].most_shared_bytes = bytes;
}

uint64_t Memory::max_range_bytes() const { return state_->device.quirks().max_slab_bytes / kAlignment * kAlignment; }

bool Memory::device_memory_is_mapped() const {
    const auto type = memory_type_for(state_->caps(), UINT32_MAX, Placement::device);
    return type && state_->caps().memory_types[*type].host_visible;
}

HeapState Memory::heap() const {
    const MainHeap main = main_heap(state_->caps());
    return main.found ? state_->heap(main.index) : HeapState{};
}

std::vector<UseStatistics> Memory::statistics() const {
    std::vector<UseStatistics> result;
    for (const auto& use : state_->uses) {
        if (use.statistics.peak_slab_bytes > 0) result.push_back(use.statistics);
    }
    return result;
}

Result<BufferRange> Memory::allocate(int use, uint64_t bytes, std::string_view name, const AllocateOptions& options) {
    State& s = *state_;
    ATLAS_CHECK(use >= 0 && use < kMaxUses, "use {}", use);
    ATLAS_CHECK(bytes > 0, "{}: an empty allocation", name);
    if (bytes > max_range_bytes()) {
        return fail(ErrorCode::limit,
                    "{} ({}): {} requested in one piece, {} allocates at most {} "
                    "(maxMemoryAllocationSize): split it",
                    s.use_name(use), name, bytes_text(bytes), s.caps().name, bytes_text(max_range_bytes()));
    }
    const uint64_t taken_bytes = round_up(bytes, kAlignment);
    std::deque<uint64_t>& expected = s.uses[size_t(use)].expected;
    if (!expected.empty() && expected.front() != taken_bytes) expected.clear();
    const uint32_t first_slab = expected.empty() ? 0 : s.uses[size_t(use)].expected_from;
    std::optional<uint64_t> offset;
    uint32_t id = 0;
    for (auto& [slab_id, slab] : s.slabs) {
        if (slab.use != use || slab.placement != options.placement || slab_id < first_slab) continue;
        offset = slab.holes.take(taken_bytes);
        id = slab_id;
        if (offset) break;
    }
    if (!offset) {
        ATLAS_TRY(id, s.add_slab(use, taken_bytes, name, options));
        offset = s.slabs.at(id).holes.take(taken_bytes);
    }
    if (!expected.empty()) expected.pop_front();
    Slab& slab = s.slabs.at(id);
    slab.live.emplace(*offset, bytes);
    UseStatistics& statistics = s.uses[size_t(use)].statistics;
    statistics.asked_bytes += bytes;
    ++statistics.ranges;
    const BufferRange range{slab.buffer, *offset, bytes, slab.mapped ? slab.mapped + *offset : nullptr, id};
    if (options.zero) {
        // The padding too: kernels that load whole words may read it.
        BufferRange all = range;
        all.bytes = taken_bytes;
        if (auto zeroed = s.device.uploader().zero(all); !zeroed) {
            release(range);
            return tl::unexpected(std::move(zeroed).error());
        }
    }
    return range;
}

void Memory::release(const BufferRange& range) {
    State& s = *state_;
    // Nor may the range be handed out again, for as long as the device may write to it.
    if (!s.device.queue().settle()) return;
    const auto found = s.slabs.find(range.slab);
    ATLAS_CHECK(found != s.slabs.end(), "no slab {}", range.slab);
    Slab& slab = found->second;
    const auto live = slab.live.find(range.offset_bytes);
    ATLAS_CHECK(live != slab.live.end() && live->second == range.bytes,
                "{} bytes at {} of slab {} are not an allocation", range.bytes, range.offset_bytes, range.slab);
    slab.live.erase(live);
    slab.holes.give(range.offset_bytes, round_up(range.bytes, kAlignment));
    UseStatistics& statistics = s.uses[size_t(slab.use)].statistics;
    statistics.asked_bytes -= range.bytes;
    --statistics.ranges;
    if (!slab.holes.empty()) return;
    s.count_slab(slab.use, slab.memory_bytes, false);
    s.destroy(slab);
    s.slabs.erase(found);
}

Result<BufferRange> Memory::shrink(const BufferRange& range, uint64_t bytes, std::string_view name) {
    State& s = *state_;
    const Slab& slab = s.slabs.at(range.slab);
    ATLAS_CHECK(bytes > 0 && bytes <= range.bytes, "{}: {} bytes of {}", name, bytes, range.bytes);
    const std::deque<uint64_t>& expected = s.uses[size_t(slab.use)].expected;
    if (expected.empty() || expected.front() != round_up(bytes, kAlignment))
        expect(slab.use, {&bytes, 1});  // not a byte more, and no old slab
    ATLAS_TRY(const BufferRange smaller,
              allocate(slab.use, bytes, name, {.placement = slab.placement, .zero = true, .beyond_budget = true}));
    if (auto copied = s.device.uploader().copy(range.sub(0, bytes), smaller); !copied) {
        release(smaller);
        return tl::unexpected(std::move(copied).error());
    }
    release(range);
    return smaller;
}

bool Memory::reads_fast(const BufferRange& range) const {
    const Slab& slab = state_->slabs.at(range.slab);
    return slab.mapped && state_->caps().memory_types[slab.type].host_cached;
}

namespace {

/// The range widened to whole atoms, within the slab.
VkMappedMemoryRange atoms(const Slab& slab, const BufferRange& range, uint64_t atom_bytes) {
    VkMappedMemoryRange mapped{};
    mapped.sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE;
    mapped.memory = slab.memory;
    mapped.offset = range.offset_bytes / atom_bytes * atom_bytes;
    const uint64_t end = round_up(range.offset_bytes + range.bytes, atom_bytes);
    mapped.size = end >= slab.memory_bytes ? VK_WHOLE_SIZE : end - mapped.offset;
    return mapped;
}

}  // namespace

Result<void> Memory::flush(const BufferRange& range) {
    const Slab& slab = state_->slabs.at(range.slab);
    ATLAS_CHECK(slab.mapped != nullptr, "slab {} is not mapped", range.slab);
    if (range.bytes == 0 || state_->caps().memory_types[slab.type].host_coherent) return {};
    const VkMappedMemoryRange mapped = atoms(slab, range, state_->caps().non_coherent_atom_bytes);
    return check(vkFlushMappedMemoryRanges(state_->device.handle(), 1, &mapped), "flushing host writes");
}

Result<void> Memory::invalidate(const BufferRange& range) {
    const Slab& slab = state_->slabs.at(range.slab);
    ATLAS_CHECK(slab.mapped != nullptr, "slab {} is not mapped", range.slab);
    if (range.bytes == 0 || state_->caps().memory_types[slab.type].host_coherent) return {};
    const VkMappedMemoryRange mapped = atoms(slab, range, state_->caps().non_coherent_atom_bytes);
    return check(vkInvalidateMappedMemoryRanges(state_->device.handle(), 1, &mapped), "reading device writes");
}

}  // namespace atlas::vk
