// What the driver's compiler reports of a kernel (VK_KHR_pipeline_executable_properties).
#include <volk.h>

#include "runtime/vk/device.h"
#include "runtime/vk/kernel.h"
#include "runtime/vk/vk_error.h"

namespace atlas::vk {
namespace {

double value_of(const VkPipelineExecutableStatisticKHR& statistic) {
    switch (statistic.format) {
        case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: return statistic.value.b32 ? 1 : 0;
        case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR: return double(statistic.value.i64);
        case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR: return double(statistic.value.u64);
        case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR: return statistic.value.f64;
        default: return 0;
    }
}

}  // namespace

Result<std::vector<KernelStatistic>> kernel_statistics(const Device& device, const Kernel& kernel) {
    if (!device.caps().pipeline_executable_properties || !device.options().capture_statistics) {
        return fail(ErrorCode::unsupported, "{}: the compiler's figures of kernels are not captured on this device", kernel.name());
    }
    VkPipelineInfoKHR pipeline{};
    pipeline.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR;
    pipeline.pipeline = kernel.pipeline();
    uint32_t n_executables = 0;
    ATLAS_TRY_VOID(check(vkGetPipelineExecutablePropertiesKHR(device.handle(), &pipeline, &n_executables, nullptr), kernel.name()));
    std::vector<KernelStatistic> all;
    for (uint32_t i = 0; i < n_executables; ++i) {
        VkPipelineExecutableInfoKHR executable{};
        executable.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR;
        executable.pipeline = kernel.pipeline();
        executable.executableIndex = i;
        uint32_t count = 0;
        ATLAS_TRY_VOID(check(vkGetPipelineExecutableStatisticsKHR(device.handle(), &executable, &count, nullptr), kernel.name()));
        VkPipelineExecutableStatisticKHR empty{};
        empty.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
        std::vector<VkPipelineExecutableStatisticKHR> statistics(count, empty);
        ATLAS_TRY_VOID(check(vkGetPipelineExecutableStatisticsKHR(device.handle(), &executable, &count, statistics.data()), kernel.name()));
        for (const auto& statistic : statistics) all.push_back({statistic.name, value_of(statistic)});
    }
    return all;
}

}  // namespace atlas::vk
