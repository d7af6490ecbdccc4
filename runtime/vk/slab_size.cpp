#include "runtime/vk/slab_size.h"

#include <algorithm>
#include <bit>

#include "runtime/base/check.h"
#include "runtime/base/units.h"

namespace atlas::vk {

HeapState heap_state(const MemoryHeap& heap, uint64_t ours_bytes, const Quirks& quirks,
                     std::optional<uint64_t> limit_bytes, bool is_main) {
    HeapState state;
    state.total_bytes = heap.bytes;
    state.budget_bytes = std::min(heap.budget_bytes, heap.bytes);
    if (is_main) {
        state.budget_bytes = uint64_t(double(state.budget_bytes) * quirks.budget_fraction);
        state.budget_bytes -= std::min(state.budget_bytes, quirks.budget_margin_bytes);
    }
    // The driver's count may be older than our slabs, or hold more (pipelines, other libraries in this process).
    state.used_bytes = std::max(heap.used_bytes, ours_bytes);
    state.available_bytes = state.budget_bytes - std::min(state.budget_bytes, state.used_bytes);
    state.unlimited_bytes = state.budget_bytes;
    if (limit_bytes) {
        state.budget_bytes = std::min(state.budget_bytes, *limit_bytes);
        state.available_bytes = std::min(state.available_bytes, *limit_bytes - std::min(*limit_bytes, ours_bytes));
    }
    return state;
}

uint64_t slab_bytes(const SlabRequest& request) {
    constexpr uint64_t kSmallestGranule = 4 * kMiB, kLargestGranule = 64 * kMiB;
    ATLAS_CHECK(request.needed_bytes <= std::min(request.available_bytes, request.max_bytes),
                "{} bytes needed, {} there, {} at most", request.needed_bytes, request.available_bytes,
                request.max_bytes);
    uint64_t bytes = 0;
    if (!request.expected.empty()) {
        const uint64_t most = std::min({request.most_shared_bytes, request.available_bytes, request.max_bytes});
        for (const uint64_t range : request.expected) {
            if (bytes + range > most) break;
            bytes += range;
        }
    } else if (request.needed_bytes < kLargestGranule / 2) {
        bytes = std::clamp(std::bit_ceil(request.held_bytes), kSmallestGranule, kLargestGranule);
    }
    bytes = std::min({bytes, request.available_bytes, request.max_bytes}) / Memory::kAlignment * Memory::kAlignment;
    return std::max(bytes, request.needed_bytes);
}

}  // namespace atlas::vk
