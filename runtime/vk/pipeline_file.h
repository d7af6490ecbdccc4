#pragma once
// The pipeline cache on disk: Vulkan's own bytes after a header that names the device and the driver and carries a
// checksum, because drivers differ in how much damage they notice.

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/vk/caps.h"

namespace atlas::vk {

/// The file of one device and driver in `folder`: programs that alternate between two devices keep the kernels of both.
std::filesystem::path pipeline_file(const std::filesystem::path& folder, const DeviceCaps& caps);

/// Fails: not_found (no such file), io, corrupt (damaged), unsupported (of another device, driver or version of the
/// file).
Result<std::vector<std::byte>> read_pipeline_file(const std::filesystem::path& path, const DeviceCaps& caps);

/// Writes beside the file and renames, so that readers see the old file or the new one. Makes the folder. Fails: io.
Result<void> write_pipeline_file(const std::filesystem::path& path, const DeviceCaps& caps,
                                 std::span<const std::byte> bytes);

}  // namespace atlas::vk
