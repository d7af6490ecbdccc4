#pragma once
// What a Vulkan device can do, as a plain value: kernels are chosen, memory is planned and devices are rejected by it,
// and tests make up devices.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/vk/handles.h"

namespace atlas::vk {

enum class DeviceType { discrete, integrated, virtual_gpu, software, other };
std::string_view name_of(DeviceType type);

enum class ComponentType { f16, f32, f64, bf16, s8, s16, s32, s64, u8, u16, u32, u64, other };
std::string_view name_of(ComponentType type);

/// One row of a device's cooperative matrix list: result[m, n] = a[m, k] b[k, n] + c[m, n].
struct CoopMatShape {
    uint32_t m = 0, n = 0, k = 0;
    ComponentType a = ComponentType::other, b = ComponentType::other, c = ComponentType::other,
                  result = ComponentType::other;
    bool subgroup_scope = false;  // else a scope that this runtime does not use
    bool saturating = false;
};

/// VK_NV_cooperative_matrix2, feature by feature.
struct CoopMat2Caps {
    bool workgroup_scope = false;
    bool flexible_dimensions = false;
    bool reductions = false;
    bool conversions = false;
    bool per_element_operations = false;
    bool tensor_addressing = false;
    bool block_loads = false;
};

struct MemoryHeap {
    uint64_t bytes = 0;
    uint64_t budget_bytes = 0;  // of VK_EXT_memory_budget; 80 % of the heap without it and where the driver says 0
    uint64_t used_bytes = 0;    // by this process, as the driver counts; 0 without the extension
    bool device_local = false;
};

struct MemoryType {
    uint32_t heap = 0;
    bool device_local = false;
    bool host_visible = false;
    bool host_coherent = false;
    bool host_cached = false;
    bool special = false;  // protected, lazily allocated or vendor-only: not used
};

struct DeviceCaps {
    // Identity.
    std::string name;
    uint32_t vendor_id = 0;
    uint32_t device_id = 0;
    std::string driver_name;  // "radv", "NVIDIA", "llvmpipe"
    std::string driver_info;  // "Mesa 25.0.7"
    uint32_t driver_id = 0;   // VkDriverId
    uint32_t driver_version = 0;
    uint32_t api_version = 0;  // as VK_MAKE_API_VERSION packs it
    DeviceType type = DeviceType::other;
    std::array<uint8_t, 16> device_uuid{};
    std::array<uint8_t, 16> pipeline_cache_uuid{};

    // Limits.
    uint32_t subgroup_size = 0;  // the default
    uint32_t min_subgroup_size = 0;
    uint32_t max_subgroup_size = 0;
    bool subgroup_size_control =
        false;  // a pipeline can have full subgroups of every size in min..max (subgroup_sizes.h)
    bool subgroup_basic = false, subgroup_vote = false, subgroup_arithmetic = false, subgroup_ballot = false;
    bool subgroup_shuffle = false, subgroup_clustered = false;  // all of these: in compute shaders
    uint32_t compute_units = 0;                                 // SMs of NVIDIA, CUs of AMD; 0: the driver does not say
    uint32_t max_shared_bytes = 0;
    uint32_t max_workgroup_invocations = 0;
    std::array<uint32_t, 3> max_workgroup_size{};
    std::array<uint32_t, 3> max_workgroup_count{};
    uint32_t max_push_bytes = 0;
    uint64_t max_storage_buffer_range = 0;  // of one binding
    uint64_t max_allocation_bytes = 0;      // of one VkDeviceMemory
    uint64_t max_buffer_bytes = 0;          // of one VkBuffer
    uint32_t max_allocations = 0;
    uint32_t max_storage_bindings = 0;  // storage buffers of one stage
    uint32_t min_storage_buffer_offset_alignment = 0;
    uint32_t non_coherent_atom_bytes = 1;
    float timestamp_period_ns = 0.0f;
    uint32_t timestamp_valid_bits = 0;  // of the compute queue; 0: no timestamps

    // Features.
    bool has_compute_queue = false;
    uint32_t compute_queue_family = 0;
    bool timeline_semaphore = false;
    bool scalar_block_layout = false;
    bool storage_8bit = false;
    bool storage_16bit = false;
    bool fp16 = false;   // arithmetic
    bool int8 = false;   // arithmetic
    bool int16 = false;  // arithmetic
    bool int64 = false;  // arithmetic
    bool buffer_device_address = false;
    bool vulkan_memory_model = false;
    bool integer_dot = false;              // GL_EXT_integer_dot_product compiles and runs
    bool integer_dot_accelerated = false;  // 4x8 bit, packed, signed: in hardware
    bool coopmat = false;                  // VK_KHR_cooperative_matrix, and this build knows it
    std::vector<CoopMatShape> coopmat_shapes;
    CoopMat2Caps coopmat2;
    bool bf16 = false;  // VK_KHR_shader_bfloat16, type and cooperative matrix
    bool memory_budget = false;
    bool pipeline_executable_properties = false;
    bool external_memory_host = false;
    uint64_t min_imported_host_pointer_alignment = 0;
    bool synchronization2 = false;

    // Memory.
    std::vector<MemoryHeap> heaps;
    std::vector<MemoryType> memory_types;
    bool unified_memory = false;  // integrated, or every heap is device local: the CPU and the device share it
    uint64_t host_visible_device_local_bytes = 0;  // of the largest such heap; 256 MiB is a classic BAR

    std::string driver_line() const;  // "radv (Mesa 25.0.7)"
    std::string api_string() const;   // "1.3.305"
    std::string uuid_string() const;  // 8-4-4-4-12 hex digits
};

/// Index of the heap that weights live in, or nothing if the device has no heap: the largest device-local one; the
/// largest of all where the CPU and the device share the memory (integrated devices) or no heap is called device local.
struct MainHeap {
    bool found = false;
    uint32_t index = 0;
    bool host_visible = false;  // all of it can be mapped: uploads need no staging
};
MainHeap main_heap(const DeviceCaps& caps);

/// Reads all of it from the device. Cannot fail: what is absent is false, zero or empty.
DeviceCaps read_caps(VkInstance instance, VkPhysicalDevice device);

/// What may be used of a heap: what the driver reports, or 80 % of the heap where it reports nothing or 0. The
/// specification forbids a budget of 0; drivers that report it would make the device unusable.
uint64_t budget_of(uint64_t heap_bytes, std::optional<uint64_t> reported_bytes);

/// Reads the heaps' budgets again; they change while other programs run.
std::vector<MemoryHeap> read_heaps(VkPhysicalDevice device, bool memory_budget);

}  // namespace atlas::vk
