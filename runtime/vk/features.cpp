#include "runtime/vk/features.h"

#include <initializer_list>
#include <vector>

namespace atlas::vk {

ExtensionNames extensions_of(VkPhysicalDevice device) {
    uint32_t count = 0;
    vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr);
    std::vector<VkExtensionProperties> all(count);
    vkEnumerateDeviceExtensionProperties(device, nullptr, &count, all.data());
    all.resize(count);
    ExtensionNames names;
    for (const auto& extension : all) names.insert(extension.extensionName);
    return names;
}

template <class T>
void FeatureChain::link(T& structure, VkStructureType type) {
    structure.sType = type;
    *tail_ = &structure;
    tail_ = &structure.pNext;
}

FeatureChain::FeatureChain(const ExtensionNames& extensions, uint32_t api_version) {
    const bool v1_3 = api_version >= VK_API_VERSION_1_3;
    auto has = [&](const char* name) { return extensions.contains(name); };
    root.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    tail_ = &root.pNext;
    if (api_version >= VK_API_VERSION_1_2) {
        link(v11, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES);
        link(v12, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES);
    }
    if (v1_3 || has(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) {
        link(subgroup_size, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES);
    }
    if (v1_3 || has(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME)) {
        link(integer_dot, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES);
    }
    if (v1_3 || has(VK_KHR_SYNCHRONIZATION_2_EXTENSION_NAME)) {
        link(synchronization2, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SYNCHRONIZATION_2_FEATURES);
    }
    if (v1_3 || has(VK_KHR_MAINTENANCE_4_EXTENSION_NAME)) {
        link(maintenance4, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES);
    }
    if (has(VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME)) {
        link(executable, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR);
    }
#ifdef VK_KHR_cooperative_matrix
    if (has(VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME)) {
        link(coopmat, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR);
    }
#endif
#ifdef VK_NV_cooperative_matrix2
    if (has(VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME)) {
        link(coopmat2, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV);
    }
#endif
#ifdef VK_KHR_shader_bfloat16
    if (has(VK_KHR_SHADER_BFLOAT16_EXTENSION_NAME)) {
        link(bfloat16, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_BFLOAT16_FEATURES_KHR);
    }
#endif
}

void FeatureChain::query(VkPhysicalDevice device) { vkGetPhysicalDeviceFeatures2(device, &root); }

void FeatureChain::keep_wanted(bool capture_statistics) {
    const VkPhysicalDeviceFeatures had = root.features;
    root.features = {};
    root.features.shaderInt16 = had.shaderInt16;
    root.features.shaderInt64 = had.shaderInt64;
    root.features.shaderFloat64 = had.shaderFloat64;
    const VkPhysicalDeviceVulkan11Features had11 = v11;
    v11 = {};
    v11.sType = had11.sType;
    v11.pNext = had11.pNext;
    v11.storageBuffer16BitAccess = had11.storageBuffer16BitAccess;
    v11.uniformAndStorageBuffer16BitAccess = had11.uniformAndStorageBuffer16BitAccess;
    v12.bufferDeviceAddressCaptureReplay = VK_FALSE;
    v12.bufferDeviceAddressMultiDevice = VK_FALSE;
    v12.descriptorIndexing = VK_FALSE;
    if (!capture_statistics) executable.pipelineExecutableInfo = VK_FALSE;
}

ExtensionNames wanted_extensions(const ExtensionNames& available, uint32_t api_version) {
    ExtensionNames wanted;
    auto take = [&](std::initializer_list<const char*> names) {
        for (const char* name : names) {
            if (available.contains(name)) wanted.insert(name);
        }
    };
    take({VK_EXT_MEMORY_BUDGET_EXTENSION_NAME, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME,
          VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME, "VK_KHR_portability_subset"});
    if (api_version < VK_API_VERSION_1_3) {
        take({VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME,
              VK_KHR_SYNCHRONIZATION_2_EXTENSION_NAME, VK_KHR_MAINTENANCE_4_EXTENSION_NAME});
    }
#ifdef VK_KHR_cooperative_matrix
    take({VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME});
#endif
#ifdef VK_NV_cooperative_matrix2
    take({VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME});
#endif
#ifdef VK_KHR_shader_bfloat16
    take({VK_KHR_SHADER_BFLOAT16_EXTENSION_NAME});
#endif
    return wanted;
}

}  // namespace atlas::vk
