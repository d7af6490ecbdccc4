#pragma once
// Measures what the planner's roofline needs on this device, in under two seconds, and keeps it per device and driver.

#include <filesystem>
#include <functional>
#include <optional>

#include "runtime/kernels/vk_backend.h"
#include "runtime/planner/speed.h"

namespace atlas::tools {

/// "device name; driver line": what a calibration holds for.
std::string calibration_key(const vk::DeviceCaps& caps);

/// The kept factors of this device and driver, if there are any that make sense. `file` may be missing.
std::optional<SpeedFactors> read_calibration(const std::filesystem::path& file, const std::string& key);

/// Runs three small programs: one large mat-vec (bandwidth times efficiency), layers of tiny ones (the cost per layer), and a product of 512
/// tokens (prefill). bandwidth_gbps is what the mat-vec reached, efficiency 1. Fails: out_of_memory, device_lost.
/// `progress` hears how many of the programs are done.
Result<SpeedFactors> calibrate(VkBackend& backend, const std::function<void(uint32_t done, uint32_t total)>& progress);

/// Adds them to the file (written beside it and renamed). Fails: io.
Result<void> keep_calibration(const std::filesystem::path& file, const std::string& key, const SpeedFactors& factors);

}  // namespace atlas::tools
