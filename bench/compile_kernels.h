#pragma once
// Builds kernels on a device and asks its compiler about them. Nothing is executed.

#include <functional>
#include <memory>
#include <string>

#include "bench/kernel_report.h"
#include "runtime/vk/device.h"
#include "runtime/vk/instance.h"

namespace atlas::bench {

/// A device to build pipelines on; it need not be able to run any.
struct CompileDevice {
    vk::Instance instance;
    std::unique_ptr<vk::Device> device;
    std::string note;  // why nothing can run on it; empty if it can
};

/// The device that would be used; if none can run atlas-vk, one that only compiles. `wish` as for choose_device. Fails:
/// no_device, unsupported.
Result<CompileDevice> open_compile_device(std::string_view wish);

struct CompiledKernel {
    KernelReport report;
    std::string assembly;  // empty where the driver shows none
};

/// Builds all of them on several threads and asks about each. Fails: what the driver refuses.
Result<std::vector<CompiledKernel>> compile_kernels(vk::Device& device, std::span<const vk::KernelSpec> specs);

}  // namespace atlas::bench
