#include "runtime/vk/vk_error.h"

namespace atlas::vk {

std::string_view name_of(VkResult result) {
    switch (result) {
        case VK_SUCCESS:
            return "VK_SUCCESS";
        case VK_NOT_READY:
            return "VK_NOT_READY";
        case VK_TIMEOUT:
            return "VK_TIMEOUT";
        case VK_INCOMPLETE:
            return "VK_INCOMPLETE";
        case VK_ERROR_OUT_OF_HOST_MEMORY:
            return "VK_ERROR_OUT_OF_HOST_MEMORY";
        case VK_ERROR_OUT_OF_DEVICE_MEMORY:
            return "VK_ERROR_OUT_OF_DEVICE_MEMORY";
        case VK_ERROR_INITIALIZATION_FAILED:
            return "VK_ERROR_INITIALIZATION_FAILED";
        case VK_ERROR_DEVICE_LOST:
            return "VK_ERROR_DEVICE_LOST";
        case VK_ERROR_MEMORY_MAP_FAILED:
            return "VK_ERROR_MEMORY_MAP_FAILED";
        case VK_ERROR_LAYER_NOT_PRESENT:
            return "VK_ERROR_LAYER_NOT_PRESENT";
        case VK_ERROR_EXTENSION_NOT_PRESENT:
            return "VK_ERROR_EXTENSION_NOT_PRESENT";
        case VK_ERROR_FEATURE_NOT_PRESENT:
            return "VK_ERROR_FEATURE_NOT_PRESENT";
        case VK_ERROR_INCOMPATIBLE_DRIVER:
            return "VK_ERROR_INCOMPATIBLE_DRIVER";
        case VK_ERROR_TOO_MANY_OBJECTS:
            return "VK_ERROR_TOO_MANY_OBJECTS";
        case VK_ERROR_FRAGMENTED_POOL:
            return "VK_ERROR_FRAGMENTED_POOL";
        case VK_ERROR_OUT_OF_POOL_MEMORY:
            return "VK_ERROR_OUT_OF_POOL_MEMORY";
        case VK_ERROR_INVALID_SHADER_NV:
            return "VK_ERROR_INVALID_SHADER_NV";
        case VK_ERROR_UNKNOWN:
            return "VK_ERROR_UNKNOWN";
        default:
            return "an unknown VkResult";
    }
}

Error error_of(VkResult result, std::string_view what) {
    const std::string_view name = name_of(result);
    switch (result) {
        case VK_ERROR_OUT_OF_HOST_MEMORY:
            return {ErrorCode::out_of_memory,
                    fmt::format("{}: the driver is out of system memory ({}); close other programs", what, name)};
        case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        case VK_ERROR_OUT_OF_POOL_MEMORY:
        case VK_ERROR_FRAGMENTED_POOL:
            return {ErrorCode::out_of_memory, fmt::format("{}: the device is out of memory ({}); close other programs "
                                                          "that use it, or take a smaller model or context",
                                                          what, name)};
        case VK_ERROR_DEVICE_LOST:
            return {ErrorCode::device_lost,
                    fmt::format("{}: the driver gave up on the device ({}); the system log says why (a hang, a power "
                                "or a memory fault). "
                                "Start again; if it happens again, update the driver or lower the submission limit",
                                what, name)};
        case VK_ERROR_INITIALIZATION_FAILED:
        case VK_ERROR_INCOMPATIBLE_DRIVER:
            return {ErrorCode::no_device,
                    fmt::format("{}: the Vulkan driver does not start ({}); reinstall or update it", what, name)};
        default:
            return {ErrorCode::unsupported,
                    fmt::format("{}: the driver returned {} ({}); update it", what, name, int(result))};
    }
}

Result<void> check(VkResult result, std::string_view what) {
    if (result == VK_SUCCESS) return {};
    return tl::unexpected(error_of(result, what));
}

}  // namespace atlas::vk
