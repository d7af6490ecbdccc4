#pragma once
// The faults that the layer injects: ATLAS_FAULT="<function>:<n>:<what>", several with ";" between them. n counts the
// calls of the function from 1; "3+" is the third and all after it. What:
//   VK_ERROR_..., VK_TIMEOUT   the call does nothing and returns this
//   lost                       the same with VK_ERROR_DEVICE_LOST, and the device stays lost; what was submitted goes
//   on lost-done                  the call is made, then the device is lost hang vkWaitSemaphores: VK_TIMEOUT at once,
//   from then on; what was submitted goes on late                       vkQueueSubmit: the device begins with it
//   kLateMs later; from then on every wait is a VK_TIMEOUT at once never                      vkQueueSubmit: the same,
//   and it never begins skip                       vkCmdDispatch: not recorded shrink
//   vkGetPhysicalDeviceMemoryProperties2: from then on others hold all but 1 MiB beyond what we use
// ATLAS_FAULT_LOG names a file to which the layer appends a line for every fault that came, and at the end of the
// instance how often each function was called.

#include <vulkan/vulkan_core.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace atlas::faults {

inline constexpr int kLateMs = 150;

enum class What { result, lost, lost_done, hang, late, never, skip, shrink };

struct Fault {
    What what = What::result;
    VkResult result = VK_SUCCESS;  // of What::result
};

/// Counts a call and returns the fault to inject into it, if any. Thread: any.
std::optional<Fault> count_call(std::string_view function);

/// For the functions whose only fault is a failure: the result to return instead of making the call, also where the
/// device was lost before.
std::optional<VkResult> fails_with(std::string_view function);

/// The state after a fault. Thread: any.
void lose_device();
bool device_lost();
void hang_device();
bool device_hangs();
void shrink_budget();
bool budget_shrank();

/// Appends to ATLAS_FAULT_LOG how often each function was called.
void log_counts();

}  // namespace atlas::faults
