#include "runtime/vk/caps.h"

#include <algorithm>

namespace atlas::vk {

std::string_view name_of(DeviceType type) {
    switch (type) {
        case DeviceType::discrete:
            return "discrete";
        case DeviceType::integrated:
            return "integrated";
        case DeviceType::virtual_gpu:
            return "virtual";
        case DeviceType::software:
            return "software";
        case DeviceType::other:
            break;
    }
    return "other";
}

std::string_view name_of(ComponentType type) {
    constexpr std::array<std::string_view, 13> kNames = {"f16", "f32", "f64", "bf16", "s8",  "s16",  "s32",
                                                         "s64", "u8",  "u16", "u32",  "u64", "other"};
    return kNames[size_t(type)];
}

std::string DeviceCaps::driver_line() const {
    return driver_info.empty() ? driver_name : fmt::format("{} ({})", driver_name, driver_info);
}

std::string DeviceCaps::api_string() const {
    return fmt::format("{}.{}.{}", (api_version >> 22) & 0x7f, (api_version >> 12) & 0x3ff, api_version & 0xfff);
}

std::string DeviceCaps::uuid_string() const {
    std::string text;
    for (size_t i = 0; i < device_uuid.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += fmt::format("{:02x}", device_uuid[i]);
    }
    return text;
}

MainHeap main_heap(const DeviceCaps& caps) {
    // An integrated device may call only what the firmware set aside for it device local (0.5 of 16 GiB); but all
    // memory is equally fast.
    const bool any_local =
        caps.type != DeviceType::integrated &&
        std::any_of(caps.heaps.begin(), caps.heaps.end(), [](const MemoryHeap& heap) { return heap.device_local; });
    MainHeap main;
    for (uint32_t i = 0; i < caps.heaps.size(); ++i) {
        if (any_local && !caps.heaps[i].device_local) continue;
        if (!main.found || caps.heaps[i].bytes > caps.heaps[main.index].bytes) main = {.found = true, .index = i};
    }
    if (!main.found) return main;
    main.host_visible = std::any_of(caps.memory_types.begin(), caps.memory_types.end(), [&](const MemoryType& type) {
        return type.heap == main.index && type.host_visible && !type.special && (type.device_local || !any_local);
    });
    return main;
}

}  // namespace atlas::vk
