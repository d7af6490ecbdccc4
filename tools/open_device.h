#pragma once
// The device of every subcommand that runs a model.

#include <memory>
#include <string>

#include "runtime/kernels/vk_backend.h"
#include "tools/model_flags.h"

namespace atlas::tools {

/// This device, with self-tested kernels and what earlier starts kept of it: pipelines and choices.
VkBackendOptions device_options(const std::string& device);

/// The device that the flags name, with their limits. A note on stderr tells of a software device.
Result<std::unique_ptr<VkBackend>> open_device(const ModelFlags& flags);

/// Prints what the validation layers said (--validate); fails if they said anything.
Result<void> check_validation(const ModelFlags& flags, VkBackend& backend);

}  // namespace atlas::tools
