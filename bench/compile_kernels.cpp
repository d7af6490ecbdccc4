#include "bench/compile_kernels.h"

#include <algorithm>

namespace atlas::bench {

// A device without memory cannot run, but it can compile. Pretending that it has memory shows whether it is rejected
// for another reason.
Result<CompileDevice> open_compile_device(std::string_view wish) {
    ATLAS_TRY(auto instance, vk::Instance::create({}));
    ATLAS_TRY(const auto entries, instance.devices());
    std::vector<vk::DeviceCaps> caps;
    for (const vk::DeviceEntry& entry : entries) caps.push_back(entry.caps);
    auto choice = vk::choose_device(caps, wish);
    if (!choice) {
        for (vk::DeviceCaps& device : caps) {
            if (!device.heaps.empty()) continue;
            device.heaps.push_back(
                {.bytes = uint64_t{1} << 34, .budget_bytes = uint64_t{1} << 34, .device_local = true});
            device.memory_types.push_back(
                {.heap = 0, .device_local = true, .host_visible = true, .host_coherent = true});
        }
        const auto for_compiling = vk::choose_device(caps, wish);
        if (!for_compiling) return tl::unexpected(choice.error());
        choice = for_compiling;
    }
    const vk::DeviceEntry& entry = entries[choice->index];
    ATLAS_TRY(auto device, vk::Device::create(instance, entry, {.capture_statistics = true}));
    return CompileDevice{std::move(instance), std::move(device), entry.rejection};
}

Result<std::vector<CompiledKernel>> compile_kernels(vk::Device& device, std::span<const vk::KernelSpec> specs) {
    ATLAS_TRY_VOID(device.kernels().build_all(specs));
    std::vector<CompiledKernel> all;
    for (const vk::KernelSpec& spec : specs) {
        ATLAS_TRY(const vk::Kernel* kernel, device.kernels().get(spec));
        const auto statistics = vk::kernel_statistics(device, *kernel);
        auto assembly = vk::kernel_assembly(device, *kernel);
        CompiledKernel compiled;
        compiled.assembly = assembly ? std::move(*assembly) : "";
        compiled.report = make_kernel_report(
            report_name(spec), statistics ? *statistics : std::vector<vk::KernelStatistic>{}, compiled.assembly);
        all.push_back(std::move(compiled));
    }
    return all;
}

}  // namespace atlas::bench
