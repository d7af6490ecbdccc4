#pragma once
// Measures the parameters of the planner's roofline on this device, in under two seconds, and keeps them per device and
// driver.

#include <filesystem>
#include <functional>
#include <optional>

#include "runtime/kernels/vk_backend.h"
#include "runtime/planner/speed.h"

namespace atlas::tools {

/// "device name; driver line": the device and driver that a calibration is valid for.
std::string calibration_key(const vk::DeviceCaps& caps);

/// The kept factors of this device and driver; nothing if there are none or they make no sense. `file` may be missing.
std::optional<SpeedFactors> read_calibration(const std::filesystem::path& file, const std::string& key);

/// Runs three small programs: one large mat-vec (bandwidth times efficiency), layers of tiny ones (the cost per layer),
/// and a product of 512 tokens (prefill). bandwidth_gbps is what the mat-vec reached, efficiency 1. Fails:
/// out_of_memory, device_lost. `progress` is called with the number of programs that are done.
Result<SpeedFactors> calibrate(VkBackend& backend, const std::function<void(uint32_t done, uint32_t total)>& progress);

/// Adds them to the file (written beside it and renamed). Fails: io.
Result<void> keep_calibration(const std::filesystem::path& file, const std::string& key, const SpeedFactors& factors);

}  // namespace atlas::tools
