#pragma once
// Made-up devices.

#include "runtime/base/units.h"
#include "runtime/vk/caps.h"

namespace atlas::vk {

/// Has all we need; `type` decides the rest.
inline DeviceCaps made_up_device(std::string name, DeviceType type, uint64_t heap_bytes = 8 * kGiB) {
    DeviceCaps caps;
    caps.name = std::move(name);
    caps.type = type;
    caps.api_version = (1u << 22) | (3u << 12);
    caps.has_compute_queue = true;
    caps.storage_8bit = caps.storage_16bit = caps.scalar_block_layout = caps.timeline_semaphore = true;
    caps.subgroup_basic = caps.subgroup_arithmetic = true;
    caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = 32;
    caps.max_shared_bytes = 48 * 1024;
    caps.max_workgroup_invocations = 1024;
    caps.max_push_bytes = 256;
    caps.max_storage_bindings = 64;
    caps.max_storage_buffer_range = 4 * kGiB - 1;
    caps.max_allocation_bytes = caps.max_buffer_bytes = 4 * kGiB;
    caps.min_storage_buffer_offset_alignment = 16;
    if (type == DeviceType::discrete) {
        // A card without resizable BAR: its own memory, the system's, and a window of 256 MiB.
        caps.heaps = {
            {heap_bytes, heap_bytes, 0, true}, {32 * kGiB, 32 * kGiB, 0, false}, {256 * kMiB, 256 * kMiB, 0, true}};
        caps.memory_types = {{.heap = 0, .device_local = true},
                             {.heap = 1, .host_visible = true, .host_coherent = true},
                             {.heap = 1, .host_visible = true, .host_coherent = true, .host_cached = true},
                             {.heap = 2, .device_local = true, .host_visible = true, .host_coherent = true}};
    } else {
        caps.heaps = {{heap_bytes, heap_bytes, 0, true}};
        caps.memory_types = {
            {.heap = 0, .device_local = true},
            {.heap = 0, .device_local = true, .host_visible = true, .host_coherent = true},
            {.heap = 0, .device_local = true, .host_visible = true, .host_coherent = true, .host_cached = true}};
        caps.unified_memory = true;
    }
    return caps;
}

}  // namespace atlas::vk
