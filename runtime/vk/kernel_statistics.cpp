// What the driver's compiler reports of a kernel (VK_KHR_pipeline_executable_properties).
#include <volk.h>

#include <functional>
#include <string_view>

#include "runtime/vk/device.h"
#include "runtime/vk/kernel.h"
#include "runtime/vk/vk_error.h"

namespace atlas::vk {
namespace {

double value_of(const VkPipelineExecutableStatisticKHR& statistic) {
    switch (statistic.format) {
        case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
            return statistic.value.b32 ? 1 : 0;
        case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
            return double(statistic.value.i64);
        case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
            return double(statistic.value.u64);
        case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR:
            return statistic.value.f64;
        default:
            return 0;
    }
}

/// Calls take(executable) for each executable of the pipeline.
Result<void> for_executables(const Device& device, const Kernel& kernel,
                             const std::function<Result<void>(const VkPipelineExecutableInfoKHR& executable)>& take) {
    if (!device.caps().pipeline_executable_properties || !device.options().capture_statistics) {
        return fail(ErrorCode::unsupported, "{}: the compiler's figures of kernels are not captured on this device",
                    kernel.name());
    }
    VkPipelineInfoKHR pipeline{};
    pipeline.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR;
    pipeline.pipeline = kernel.pipeline();
    uint32_t n_executables = 0;
    ATLAS_TRY_VOID(check(vkGetPipelineExecutablePropertiesKHR(device.handle(), &pipeline, &n_executables, nullptr),
                         kernel.name()));
    for (uint32_t i = 0; i < n_executables; ++i) {
        VkPipelineExecutableInfoKHR executable{};
        executable.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR;
        executable.pipeline = kernel.pipeline();
        executable.executableIndex = i;
        ATLAS_TRY_VOID(take(executable));
    }
    return {};
}

bool is_assembly(const VkPipelineExecutableInternalRepresentationKHR& text) {
    std::string_view name = text.name;
    return text.isText &&
           (name.find("ssembly") != std::string_view::npos || name.find("ASSEMBLY") != std::string_view::npos);
}

}  // namespace

Result<std::vector<KernelStatistic>> kernel_statistics(const Device& device, const Kernel& kernel) {
    std::vector<KernelStatistic> all;
    const auto asked =
        for_executables(device, kernel, [&](const VkPipelineExecutableInfoKHR& executable) -> Result<void> {
            uint32_t count = 0;
            ATLAS_TRY_VOID(check(vkGetPipelineExecutableStatisticsKHR(device.handle(), &executable, &count, nullptr),
                                 kernel.name()));
            VkPipelineExecutableStatisticKHR empty{};
            empty.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
            std::vector<VkPipelineExecutableStatisticKHR> statistics(count, empty);
            ATLAS_TRY_VOID(
                check(vkGetPipelineExecutableStatisticsKHR(device.handle(), &executable, &count, statistics.data()),
                      kernel.name()));
            for (const auto& statistic : statistics) all.push_back({statistic.name, value_of(statistic)});
            return {};
        });
    if (!asked) return tl::unexpected(asked.error());
    return all;
}

// The driver reports the length of each text, then fills the memory it is passed; texts other than the assembly are
// requested too, because one cannot be requested alone.
Result<std::string> kernel_assembly(const Device& device, const Kernel& kernel) {
    std::string assembly;
    const auto asked =
        for_executables(device, kernel, [&](const VkPipelineExecutableInfoKHR& executable) -> Result<void> {
            uint32_t count = 0;
            ATLAS_TRY_VOID(
                check(vkGetPipelineExecutableInternalRepresentationsKHR(device.handle(), &executable, &count, nullptr),
                      kernel.name()));
            VkPipelineExecutableInternalRepresentationKHR empty{};
            empty.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
            std::vector<VkPipelineExecutableInternalRepresentationKHR> texts(count, empty);
            ATLAS_TRY_VOID(check(
                vkGetPipelineExecutableInternalRepresentationsKHR(device.handle(), &executable, &count, texts.data()),
                kernel.name()));
            std::vector<std::string> memory(count);
            for (uint32_t i = 0; i < count; ++i) {
                memory[i].resize(texts[i].dataSize);
                texts[i].pData = memory[i].data();
            }
            ATLAS_TRY_VOID(check(
                vkGetPipelineExecutableInternalRepresentationsKHR(device.handle(), &executable, &count, texts.data()),
                kernel.name()));
            for (uint32_t i = 0; i < count; ++i) {
                if (is_assembly(texts[i])) assembly += memory[i].c_str();  // up to the terminating zero
            }
            return {};
        });
    if (!asked) return tl::unexpected(asked.error());
    return assembly;
}

}  // namespace atlas::vk
