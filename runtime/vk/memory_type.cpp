#include "runtime/vk/memory_type.h"

namespace atlas::vk {
namespace {

/// Higher is better; negative means unfit.
int score(const DeviceCaps& caps, const MemoryType& type, const MainHeap& main, Placement placement) {
    const int coherent = type.host_coherent ? 8 : 0;
    switch (placement) {
        case Placement::device:
            if (!main.found || type.heap != main.index) return -1;
            // Mapped where the whole heap is; else the plain type, so that a small window stays free for others.
            return (type.device_local ? 32 : 0) + (type.host_visible == main.host_visible ? 16 : 0) + coherent +
                   (type.host_cached ? 1 : 0);
        case Placement::host_write:
            // Through the bus into the card's memory if some of it can be mapped: the device then reads it at full
            // speed.
            if (!type.host_visible) return -1;
            return coherent + (type.device_local ? 4 : 0) + (type.host_cached ? 0 : 1);
        case Placement::host_read:
            if (!type.host_visible) return -1;
            return (type.host_cached ? 16 : 0) + coherent + (type.device_local ? 0 : 1);
        case Placement::staging:
            if (!type.host_visible) return -1;
            return coherent + (type.device_local && !caps.unified_memory ? 0 : 4) + (type.host_cached ? 0 : 1);
    }
    return -1;
}

}  // namespace

std::optional<uint32_t> memory_type_for(const DeviceCaps& caps, uint32_t allowed_bits, Placement placement) {
    const MainHeap main = main_heap(caps);
    std::optional<uint32_t> best;
    int best_score = -1;
    for (uint32_t i = 0; i < caps.memory_types.size(); ++i) {
        if (!(allowed_bits >> i & 1) || caps.memory_types[i].special) continue;
        const int value = score(caps, caps.memory_types[i], main, placement);
        if (value <= best_score) continue;
        best_score = value;
        best = i;
    }
    return best;
}

}  // namespace atlas::vk
