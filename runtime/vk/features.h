#pragma once
// The Vulkan feature structures that we know, chained for a device: filled by a query, then passed back to enable what
// we use.

#include <volk.h>

#include <set>
#include <string>

namespace atlas::vk {

using ExtensionNames = std::set<std::string, std::less<>>;
ExtensionNames extensions_of(VkPhysicalDevice device);

/// Not movable: the structures point at each other.
struct FeatureChain {
    FeatureChain(const ExtensionNames& extensions, uint32_t api_version);
    FeatureChain(const FeatureChain&) = delete;
    FeatureChain& operator=(const FeatureChain&) = delete;

    void query(VkPhysicalDevice device);
    /// Disables what costs speed or is not used, so that the rest can be enabled.
    void keep_wanted(bool capture_statistics);

    VkPhysicalDeviceFeatures2 root{};
    VkPhysicalDeviceVulkan11Features v11{};
    VkPhysicalDeviceVulkan12Features v12{};
    VkPhysicalDeviceSubgroupSizeControlFeatures subgroup_size{};
    VkPhysicalDeviceShaderIntegerDotProductFeatures integer_dot{};
    VkPhysicalDeviceSynchronization2Features synchronization2{};
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executable{};
    VkPhysicalDeviceMaintenance4Features maintenance4{};
#ifdef VK_KHR_cooperative_matrix
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR coopmat{};
#endif
#ifdef VK_NV_cooperative_matrix2
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV coopmat2{};
#endif
#ifdef VK_KHR_shader_bfloat16
    VkPhysicalDeviceShaderBfloat16FeaturesKHR bfloat16{};
#endif

  private:
    template <class T>
    void link(T& structure, VkStructureType type);
    void** tail_ = nullptr;
};

/// Device extensions that we enable wherever they are available.
ExtensionNames wanted_extensions(const ExtensionNames& available, uint32_t api_version);

}  // namespace atlas::vk
