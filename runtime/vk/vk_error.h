#pragma once
// Vulkan's results as our errors.

#include <volk.h>

#include <cstdint>
#include <string>

#include "runtime/base/error.h"

namespace atlas::vk {

std::string_view name_of(VkResult result);

/// `what` names the action: "creating the device".
Error error_of(VkResult result, std::string_view what);

/// Result<void> of a call: check(vkX(...), "doing x").
Result<void> check(VkResult result, std::string_view what);

}  // namespace atlas::vk
