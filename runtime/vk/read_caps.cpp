// Fills DeviceCaps from a real device.
#include <volk.h>

#include <algorithm>
#include <cstring>

#include "runtime/vk/caps.h"
#include "runtime/vk/features.h"
#include "runtime/vk/subgroup_sizes.h"

namespace atlas::vk {
namespace {

/// The property structures that we know, linked for a device.
struct PropertyChain {
    VkPhysicalDeviceProperties2 root{};
    VkPhysicalDeviceVulkan11Properties v11{};
    VkPhysicalDeviceVulkan12Properties v12{};
    VkPhysicalDeviceSubgroupSizeControlProperties subgroup_size{};
    VkPhysicalDeviceShaderIntegerDotProductProperties integer_dot{};
    VkPhysicalDeviceMaintenance4Properties maintenance4{};
    VkPhysicalDeviceExternalMemoryHostPropertiesEXT external_host{};
    VkPhysicalDeviceShaderSMBuiltinsPropertiesNV nvidia_cores{};
    VkPhysicalDeviceShaderCoreProperties2AMD amd_cores{};

    PropertyChain(VkPhysicalDevice device, const ExtensionNames& extensions, uint32_t api_version) {
        const bool v1_3 = api_version >= VK_API_VERSION_1_3;
        void** tail = &root.pNext;
        auto link = [&](bool present, auto& structure, VkStructureType type) {
            if (!present) return;
            structure.sType = type;
            *tail = &structure;
            tail = &structure.pNext;
        };
        auto has = [&](const char* name) { return extensions.contains(name); };
        root.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
        link(api_version >= VK_API_VERSION_1_2, v11, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES);
        link(api_version >= VK_API_VERSION_1_2, v12, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES);
        link(v1_3 || has(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME), subgroup_size,
             VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES);
        link(v1_3 || has(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME), integer_dot,
             VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES);
        link(v1_3 || has(VK_KHR_MAINTENANCE_4_EXTENSION_NAME), maintenance4,
             VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES);
        link(has(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME), external_host,
             VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT);
        link(has(VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME), nvidia_cores,
             VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV);
        link(has(VK_AMD_SHADER_CORE_PROPERTIES_2_EXTENSION_NAME), amd_cores,
             VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_2_AMD);
        vkGetPhysicalDeviceProperties2(device, &root);
    }
};

DeviceType type_of(VkPhysicalDeviceType type) {
    switch (type) {
        case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
            return DeviceType::discrete;
        case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
            return DeviceType::integrated;
        case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
            return DeviceType::virtual_gpu;
        case VK_PHYSICAL_DEVICE_TYPE_CPU:
            return DeviceType::software;
        default:
            return DeviceType::other;
    }
}

void read_identity(const PropertyChain& chain, DeviceCaps& caps) {
    const VkPhysicalDeviceProperties& core = chain.root.properties;
    caps.name = core.deviceName;
    caps.vendor_id = core.vendorID;
    caps.device_id = core.deviceID;
    caps.driver_version = core.driverVersion;
    caps.api_version = core.apiVersion;
    caps.type = type_of(core.deviceType);
    caps.driver_name = chain.v12.driverName;
    caps.driver_info = chain.v12.driverInfo;
    caps.driver_id = uint32_t(chain.v12.driverID);
    std::memcpy(caps.device_uuid.data(), chain.v11.deviceUUID, caps.device_uuid.size());
    std::memcpy(caps.pipeline_cache_uuid.data(), core.pipelineCacheUUID, caps.pipeline_cache_uuid.size());
}

void read_limits(const PropertyChain& chain, DeviceCaps& caps) {
    const VkPhysicalDeviceLimits& limits = chain.root.properties.limits;
    caps.max_shared_bytes = limits.maxComputeSharedMemorySize;
    caps.max_workgroup_invocations = limits.maxComputeWorkGroupInvocations;
    std::copy_n(limits.maxComputeWorkGroupSize, 3, caps.max_workgroup_size.begin());
    std::copy_n(limits.maxComputeWorkGroupCount, 3, caps.max_workgroup_count.begin());
    caps.max_push_bytes = limits.maxPushConstantsSize;
    caps.max_storage_buffer_range = limits.maxStorageBufferRange;
    caps.max_allocations = limits.maxMemoryAllocationCount;
    caps.max_storage_bindings =
        std::min(limits.maxPerStageDescriptorStorageBuffers, limits.maxDescriptorSetStorageBuffers);
    caps.min_storage_buffer_offset_alignment = uint32_t(limits.minStorageBufferOffsetAlignment);
    caps.non_coherent_atom_bytes = uint32_t(limits.nonCoherentAtomSize);
    caps.timestamp_period_ns = limits.timestampPeriod;
    caps.max_allocation_bytes = chain.v11.maxMemoryAllocationSize;
    caps.max_buffer_bytes =
        chain.maintenance4.maxBufferSize ? chain.maintenance4.maxBufferSize : caps.max_allocation_bytes;
    caps.compute_units = std::max(chain.nvidia_cores.shaderSMCount, chain.amd_cores.activeComputeUnitCount);
    caps.min_imported_host_pointer_alignment = chain.external_host.minImportedHostPointerAlignment;

    caps.subgroup_size = chain.v11.subgroupSize;
    const bool sized = chain.subgroup_size.maxSubgroupSize > 0;
    caps.min_subgroup_size = sized ? chain.subgroup_size.minSubgroupSize : caps.subgroup_size;
    caps.max_subgroup_size = sized ? chain.subgroup_size.maxSubgroupSize : caps.subgroup_size;
    const bool in_compute = chain.v11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT;
    auto has = [&](VkSubgroupFeatureFlagBits bit) {
        return in_compute && (chain.v11.subgroupSupportedOperations & bit) != 0;
    };
    caps.subgroup_basic = has(VK_SUBGROUP_FEATURE_BASIC_BIT);
    caps.subgroup_vote = has(VK_SUBGROUP_FEATURE_VOTE_BIT);
    caps.subgroup_arithmetic = has(VK_SUBGROUP_FEATURE_ARITHMETIC_BIT);
    caps.subgroup_ballot = has(VK_SUBGROUP_FEATURE_BALLOT_BIT);
    caps.subgroup_shuffle = has(VK_SUBGROUP_FEATURE_SHUFFLE_BIT);
    caps.subgroup_clustered = has(VK_SUBGROUP_FEATURE_CLUSTERED_BIT);
}

void read_features(const FeatureChain& chain, const PropertyChain& properties, const ExtensionNames& extensions,
                   DeviceCaps& caps) {
    caps.timeline_semaphore = chain.v12.timelineSemaphore;
    caps.scalar_block_layout = chain.v12.scalarBlockLayout;
    caps.storage_8bit = chain.v12.storageBuffer8BitAccess;
    caps.storage_16bit = chain.v11.storageBuffer16BitAccess;
    caps.fp16 = chain.v12.shaderFloat16;
    caps.int8 = chain.v12.shaderInt8;
    caps.int16 = chain.root.features.shaderInt16;
    caps.int64 = chain.root.features.shaderInt64;
    caps.buffer_device_address = chain.v12.bufferDeviceAddress;
    caps.vulkan_memory_model = chain.v12.vulkanMemoryModel;
    caps.integer_dot = chain.integer_dot.shaderIntegerDotProduct;
    caps.integer_dot_accelerated =
        caps.integer_dot && properties.integer_dot.integerDotProduct4x8BitPackedSignedAccelerated;
    caps.subgroup_size_control = has_full_subgroups(
        {.size_control = chain.subgroup_size.subgroupSizeControl != 0,
         .full_subgroups = chain.subgroup_size.computeFullSubgroups != 0,
         .compute_may_ask = (properties.subgroup_size.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0,
         .usual = caps.subgroup_size,
         .min = caps.min_subgroup_size,
         .max = caps.max_subgroup_size});
    caps.synchronization2 = chain.synchronization2.synchronization2;
    caps.pipeline_executable_properties = chain.executable.pipelineExecutableInfo;
    caps.memory_budget = extensions.contains(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    caps.external_memory_host = extensions.contains(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
#ifdef VK_KHR_cooperative_matrix
    caps.coopmat = chain.coopmat.cooperativeMatrix;
#endif
#ifdef VK_NV_cooperative_matrix2
    caps.coopmat2 = {.workgroup_scope = chain.coopmat2.cooperativeMatrixWorkgroupScope != 0,
                     .flexible_dimensions = chain.coopmat2.cooperativeMatrixFlexibleDimensions != 0,
                     .reductions = chain.coopmat2.cooperativeMatrixReductions != 0,
                     .conversions = chain.coopmat2.cooperativeMatrixConversions != 0,
                     .per_element_operations = chain.coopmat2.cooperativeMatrixPerElementOperations != 0,
                     .tensor_addressing = chain.coopmat2.cooperativeMatrixTensorAddressing != 0,
                     .block_loads = chain.coopmat2.cooperativeMatrixBlockLoads != 0};
#endif
#ifdef VK_KHR_shader_bfloat16
    caps.bf16 = chain.bfloat16.shaderBFloat16Type && chain.bfloat16.shaderBFloat16CooperativeMatrix;
#endif
}

#ifdef VK_KHR_cooperative_matrix
ComponentType component_of(VkComponentTypeKHR type) {
    switch (type) {
        case VK_COMPONENT_TYPE_FLOAT16_KHR:
            return ComponentType::f16;
        case VK_COMPONENT_TYPE_FLOAT32_KHR:
            return ComponentType::f32;
        case VK_COMPONENT_TYPE_FLOAT64_KHR:
            return ComponentType::f64;
        case VK_COMPONENT_TYPE_SINT8_KHR:
            return ComponentType::s8;
        case VK_COMPONENT_TYPE_SINT16_KHR:
            return ComponentType::s16;
        case VK_COMPONENT_TYPE_SINT32_KHR:
            return ComponentType::s32;
        case VK_COMPONENT_TYPE_SINT64_KHR:
            return ComponentType::s64;
        case VK_COMPONENT_TYPE_UINT8_KHR:
            return ComponentType::u8;
        case VK_COMPONENT_TYPE_UINT16_KHR:
            return ComponentType::u16;
        case VK_COMPONENT_TYPE_UINT32_KHR:
            return ComponentType::u32;
        case VK_COMPONENT_TYPE_UINT64_KHR:
            return ComponentType::u64;
#ifdef VK_KHR_shader_bfloat16
        case VK_COMPONENT_TYPE_BFLOAT16_KHR:
            return ComponentType::bf16;
#endif
        default:
            return ComponentType::other;
    }
}

void read_coopmat_shapes(VkInstance instance, VkPhysicalDevice device, DeviceCaps& caps) {
    if (!caps.coopmat) return;
    // Older volk does not load it.
    const auto list = reinterpret_cast<PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR>(
        vkGetInstanceProcAddr(instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
    uint32_t count = 0;
    if (!list || list(device, &count, nullptr) != VK_SUCCESS) return;
    VkCooperativeMatrixPropertiesKHR empty{};
    empty.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
    std::vector<VkCooperativeMatrixPropertiesKHR> rows(count, empty);
    if (list(device, &count, rows.data()) < VK_SUCCESS) return;
    rows.resize(count);
    for (const auto& row : rows) {
        caps.coopmat_shapes.push_back({.m = row.MSize,
                                       .n = row.NSize,
                                       .k = row.KSize,
                                       .a = component_of(row.AType),
                                       .b = component_of(row.BType),
                                       .c = component_of(row.CType),
                                       .result = component_of(row.ResultType),
                                       .subgroup_scope = row.scope == VK_SCOPE_SUBGROUP_KHR,
                                       .saturating = row.saturatingAccumulation != 0});
    }
}
#else
void read_coopmat_shapes(VkInstance, VkPhysicalDevice, DeviceCaps&) {}
#endif

/// Prefers a family without graphics: its work does not wait for the desktop's.
void read_queues(VkPhysicalDevice device, DeviceCaps& caps) {
    uint32_t count = 0;
    vkGetPhysicalDeviceQueueFamilyProperties(device, &count, nullptr);
    std::vector<VkQueueFamilyProperties> families(count);
    vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families.data());
    int best = -1;
    for (uint32_t i = 0; i < count; ++i) {
        if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) || families[i].queueCount == 0) continue;
        const int score =
            1 + ((families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) ? 0 : 1) + (families[i].timestampValidBits ? 2 : 0);
        if (score <= best) continue;
        best = score;
        caps.has_compute_queue = true;
        caps.compute_queue_family = i;
        caps.timestamp_valid_bits = families[i].timestampValidBits;
    }
}

/// Types with any other property need a feature that we do not enable.
constexpr VkMemoryPropertyFlags kPlainMemory =
    VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT |
    VK_MEMORY_PROPERTY_HOST_CACHED_BIT;

void read_memory(VkPhysicalDevice device, DeviceCaps& caps) {
    caps.heaps = read_heaps(device, caps.memory_budget);
    VkPhysicalDeviceMemoryProperties memory{};
    vkGetPhysicalDeviceMemoryProperties(device, &memory);
    for (uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
        const VkMemoryType& type = memory.memoryTypes[i];
        auto has = [&](VkMemoryPropertyFlagBits bit) { return (type.propertyFlags & bit) != 0; };
        caps.memory_types.push_back({.heap = type.heapIndex,
                                     .device_local = has(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT),
                                     .host_visible = has(VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT),
                                     .host_coherent = has(VK_MEMORY_PROPERTY_HOST_COHERENT_BIT),
                                     .host_cached = has(VK_MEMORY_PROPERTY_HOST_CACHED_BIT),
                                     .special = (type.propertyFlags & ~kPlainMemory) != 0});
        if (caps.memory_types.back().device_local && caps.memory_types.back().host_visible) {
            caps.host_visible_device_local_bytes =
                std::max(caps.host_visible_device_local_bytes, caps.heaps[type.heapIndex].bytes);
        }
    }
    caps.unified_memory =
        !caps.heaps.empty() &&
        (caps.type == DeviceType::integrated ||
         std::all_of(caps.heaps.begin(), caps.heaps.end(), [](const MemoryHeap& heap) { return heap.device_local; }));
}

}  // namespace

uint64_t budget_of(uint64_t heap_bytes, std::optional<uint64_t> reported_bytes) {
    return reported_bytes.value_or(0) > 0 ? *reported_bytes : heap_bytes / 5 * 4;
}

std::vector<MemoryHeap> read_heaps(VkPhysicalDevice device, bool memory_budget) {
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{};
    budget.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
    VkPhysicalDeviceMemoryProperties2 memory{};
    memory.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
    if (memory_budget) memory.pNext = &budget;
    vkGetPhysicalDeviceMemoryProperties2(device, &memory);
    std::vector<MemoryHeap> heaps;
    for (uint32_t i = 0; i < memory.memoryProperties.memoryHeapCount; ++i) {
        const VkMemoryHeap& heap = memory.memoryProperties.memoryHeaps[i];
        heaps.push_back(
            {.bytes = heap.size,
             .budget_bytes = budget_of(heap.size, memory_budget ? std::optional(budget.heapBudget[i]) : std::nullopt),
             .used_bytes = memory_budget ? budget.heapUsage[i] : 0,
             .device_local = (heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0});
    }
    return heaps;
}

DeviceCaps read_caps(VkInstance instance, VkPhysicalDevice device) {
    VkPhysicalDeviceProperties core{};
    vkGetPhysicalDeviceProperties(device, &core);
    DeviceCaps caps;
    const ExtensionNames extensions = extensions_of(device);
    const PropertyChain properties(device, extensions, core.apiVersion);
    read_identity(properties, caps);
    read_limits(properties, caps);
    FeatureChain features(extensions, core.apiVersion);
    features.query(device);
    read_features(features, properties, extensions, caps);
    read_coopmat_shapes(instance, device, caps);
    read_queues(device, caps);
    read_memory(device, caps);
    return caps;
}

}  // namespace atlas::vk
