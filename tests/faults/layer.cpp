// A Vulkan layer that makes functions fail at the n-th call (fault.h). It serves one instance with one device, as the
// program makes them.
#include <vulkan/vk_layer.h>

#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "tests/faults/fault.h"

namespace atlas::faults {
namespace {

struct Name {
    char text[64] = {};
    template <size_t n>
    consteval Name(const char (&from)[n]) {  // NOLINT: from a literal
        for (size_t i = 0; i < n; ++i) text[i] = from[i];
    }
};

PFN_vkGetInstanceProcAddr g_instance_proc = nullptr;
PFN_vkGetDeviceProcAddr g_device_proc = nullptr;
VkInstance g_instance = nullptr;
VkDevice g_device = nullptr;
PFN_vkGetPhysicalDeviceMemoryProperties2 g_memory_properties = nullptr;
PFN_vkDestroyInstance g_destroy_instance = nullptr;
PFN_vkCreateDevice g_create_device = nullptr;

template <class Function>
Function next_of_instance(const char* name) {
    return reinterpret_cast<Function>(g_instance_proc(g_instance, name));
}
template <class Function>
Function next_of_device(const char* name) {
    return reinterpret_cast<Function>(g_device_proc(g_device, name));
}

/// A function of the device whose only fault is a failure: kName, and its pointer's type.
template <Name kName, class Function>
struct Failing;
template <Name kName, class... Args>
struct Failing<kName, VkResult(VKAPI_PTR*)(Args...)> {
    using Pointer = VkResult(VKAPI_PTR*)(Args...);
    static VKAPI_ATTR VkResult VKAPI_CALL call(Args... args) {
        if (const auto result = fails_with(kName.text)) return *result;
        static const auto next = next_of_device<Pointer>(kName.text);
        return next(args...);
    }
};

struct Hook {
    const char* name;
    PFN_vkVoidFunction function;
};
template <Name kName, class Function>
Hook failing() {
    return {kName.text, reinterpret_cast<PFN_vkVoidFunction>(&Failing<kName, Function>::call)};
}

VKAPI_ATTR VkResult VKAPI_CALL wait_semaphores(VkDevice device, const VkSemaphoreWaitInfo* info, uint64_t timeout) {
    static const auto next = next_of_device<PFN_vkWaitSemaphores>("vkWaitSemaphores");
    const auto fault = count_call("vkWaitSemaphores");
    if (fault) {
        if (fault->what == What::result) return fault->result;
        if (fault->what == What::hang) hang_device();
        if (fault->what == What::lost) lose_device();
        if (fault->what == What::lost_done) {
            next(device, info, timeout);
            lose_device();
        }
    }
    if (device_lost()) return VK_ERROR_DEVICE_LOST;
    if (device_hangs()) return VK_TIMEOUT;
    return next(device, info, timeout);
}

VKAPI_ATTR VkResult VKAPI_CALL get_counter(VkDevice device, VkSemaphore semaphore, uint64_t* value) {
    static const auto next = next_of_device<PFN_vkGetSemaphoreCounterValue>("vkGetSemaphoreCounterValue");
    if (const auto result = fails_with("vkGetSemaphoreCounterValue")) return *result;
    return next(device, semaphore, value);  // also of a lost device: finished work stays finished
}

/// Submits, in front of what follows, a wait for a semaphore that is signalled later or never.
VkResult hold_queue(VkQueue queue, bool for_good) {
    VkSemaphoreTypeCreateInfo type{};
    type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
    type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
    VkSemaphoreCreateInfo made{};
    made.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
    made.pNext = &type;
    VkSemaphore gate = VK_NULL_HANDLE;  // never destroyed: the queue waits for it
    VkResult result = next_of_device<PFN_vkCreateSemaphore>("vkCreateSemaphore")(g_device, &made, nullptr, &gate);
    if (result != VK_SUCCESS) return result;
    const uint64_t open = 1;
    VkTimelineSemaphoreSubmitInfo values{};
    values.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO;
    values.waitSemaphoreValueCount = 1;
    values.pWaitSemaphoreValues = &open;
    const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    VkSubmitInfo submit{};
    submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    submit.pNext = &values;
    submit.waitSemaphoreCount = 1;
    submit.pWaitSemaphores = &gate;
    submit.pWaitDstStageMask = &stage;
    result = next_of_device<PFN_vkQueueSubmit>("vkQueueSubmit")(queue, 1, &submit, VK_NULL_HANDLE);
    if (result != VK_SUCCESS || for_good) return result;
    std::thread([gate, signal = next_of_device<PFN_vkSignalSemaphore>("vkSignalSemaphore")] {
        std::this_thread::sleep_for(std::chrono::milliseconds(kLateMs));
        VkSemaphoreSignalInfo info{};
        info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO;
        info.semaphore = gate;
        info.value = 1;
        signal(g_device, &info);
    }).detach();
    return VK_SUCCESS;
}

VKAPI_ATTR VkResult VKAPI_CALL queue_submit(VkQueue queue, uint32_t count, const VkSubmitInfo* infos, VkFence fence) {
    static const auto next = next_of_device<PFN_vkQueueSubmit>("vkQueueSubmit");
    const auto fault = count_call("vkQueueSubmit");
    if (device_lost()) return VK_ERROR_DEVICE_LOST;
    if (!fault) return next(queue, count, infos, fence);
    if (fault->what == What::result) return fault->result;
    if (fault->what == What::late || fault->what == What::never) {
        hang_device();
        const VkResult held = hold_queue(queue, fault->what == What::never);
        return held == VK_SUCCESS ? next(queue, count, infos, fence) : held;
    }
    // The driver took it before it lost the device; or it did not.
    if (fault->what == What::lost_done) next(queue, count, infos, fence);
    lose_device();
    return VK_ERROR_DEVICE_LOST;
}

VKAPI_ATTR void VKAPI_CALL cmd_dispatch(VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z) {
    static const auto next = next_of_device<PFN_vkCmdDispatch>("vkCmdDispatch");
    if (!count_call("vkCmdDispatch")) next(commands, x, y, z);
}

VKAPI_ATTR void VKAPI_CALL memory_properties(VkPhysicalDevice device, VkPhysicalDeviceMemoryProperties2* properties) {
    g_memory_properties(device, properties);
    if (count_call("vkGetPhysicalDeviceMemoryProperties2")) shrink_budget();
    if (!budget_shrank()) return;
    for (auto* link = static_cast<VkBaseOutStructure*>(properties->pNext); link; link = link->pNext) {
        if (link->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT) continue;
        auto* budget = reinterpret_cast<VkPhysicalDeviceMemoryBudgetPropertiesEXT*>(link);
        for (uint32_t i = 0; i < properties->memoryProperties.memoryHeapCount; ++i)
            budget->heapBudget[i] = budget->heapUsage[i] + (1u << 20);
    }
}

VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo* info, const VkAllocationCallbacks* allocator,
                                               VkInstance* instance) {
    auto* link = static_cast<VkLayerInstanceCreateInfo*>(const_cast<void*>(info->pNext));
    while (link &&
           !(link->sType == VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO && link->function == VK_LAYER_LINK_INFO)) {
        link = static_cast<VkLayerInstanceCreateInfo*>(const_cast<void*>(link->pNext));
    }
    if (!link) return VK_ERROR_INITIALIZATION_FAILED;
    g_instance_proc = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    if (const auto result = fails_with("vkCreateInstance")) return *result;
    const auto next = reinterpret_cast<PFN_vkCreateInstance>(g_instance_proc(VK_NULL_HANDLE, "vkCreateInstance"));
    const VkResult result = next(info, allocator, instance);
    if (result != VK_SUCCESS) return result;
    g_instance = *instance;
    // Now: later the loader answers with what it has put together itself, and that begins with this layer.
    g_memory_properties =
        next_of_instance<PFN_vkGetPhysicalDeviceMemoryProperties2>("vkGetPhysicalDeviceMemoryProperties2");
    g_destroy_instance = next_of_instance<PFN_vkDestroyInstance>("vkDestroyInstance");
    g_create_device = next_of_instance<PFN_vkCreateDevice>("vkCreateDevice");
    return result;
}

VKAPI_ATTR void VKAPI_CALL destroy_instance(VkInstance instance, const VkAllocationCallbacks* allocator) {
    log_counts();
    g_destroy_instance(instance, allocator);
}

VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo* info,
                                             const VkAllocationCallbacks* allocator, VkDevice* device) {
    auto* link = static_cast<VkLayerDeviceCreateInfo*>(const_cast<void*>(info->pNext));
    while (link &&
           !(link->sType == VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO && link->function == VK_LAYER_LINK_INFO)) {
        link = static_cast<VkLayerDeviceCreateInfo*>(const_cast<void*>(link->pNext));
    }
    if (!link) return VK_ERROR_INITIALIZATION_FAILED;
    g_device_proc = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    if (const auto result = fails_with("vkCreateDevice")) return *result;
    const VkResult result = g_create_device(physical, info, allocator, device);
    if (result == VK_SUCCESS) g_device = *device;
    return result;
}

PFN_vkVoidFunction hook_of_device(const char* name) {
#define ATLAS_FAILING(function) failing<#function, PFN_##function>()
    static const std::vector<Hook> kHooks = {
        ATLAS_FAILING(vkAllocateCommandBuffers),
        ATLAS_FAILING(vkAllocateDescriptorSets),
        ATLAS_FAILING(vkAllocateMemory),
        ATLAS_FAILING(vkBeginCommandBuffer),
        ATLAS_FAILING(vkBindBufferMemory),
        ATLAS_FAILING(vkCreateBuffer),
        ATLAS_FAILING(vkCreateCommandPool),
        ATLAS_FAILING(vkCreateComputePipelines),
        ATLAS_FAILING(vkCreateDescriptorPool),
        ATLAS_FAILING(vkCreatePipelineCache),
        ATLAS_FAILING(vkCreateDescriptorSetLayout),
        ATLAS_FAILING(vkCreatePipelineLayout),
        ATLAS_FAILING(vkCreateSemaphore),
        ATLAS_FAILING(vkCreateShaderModule),
        ATLAS_FAILING(vkEndCommandBuffer),
        ATLAS_FAILING(vkGetPipelineCacheData),
        ATLAS_FAILING(vkInvalidateMappedMemoryRanges),
        ATLAS_FAILING(vkFlushMappedMemoryRanges),
        ATLAS_FAILING(vkMapMemory),
        {"vkWaitSemaphores", reinterpret_cast<PFN_vkVoidFunction>(wait_semaphores)},
        {"vkGetSemaphoreCounterValue", reinterpret_cast<PFN_vkVoidFunction>(get_counter)},
        {"vkQueueSubmit", reinterpret_cast<PFN_vkVoidFunction>(queue_submit)},
        {"vkCmdDispatch", reinterpret_cast<PFN_vkVoidFunction>(cmd_dispatch)},
    };
#undef ATLAS_FAILING
    for (const Hook& hook : kHooks) {
        if (std::strcmp(hook.name, name) == 0) return hook.function;
    }
    return nullptr;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc(VkDevice device, const char* name) {
    if (std::strcmp(name, "vkGetDeviceProcAddr") == 0) return reinterpret_cast<PFN_vkVoidFunction>(get_device_proc);
    if (const auto hook = hook_of_device(name)) return hook;
    return g_device_proc(device, name);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance_proc(VkInstance instance, const char* name) {
    static const Hook kHooks[] = {
        {"vkGetInstanceProcAddr", reinterpret_cast<PFN_vkVoidFunction>(get_instance_proc)},
        {"vkGetDeviceProcAddr", reinterpret_cast<PFN_vkVoidFunction>(get_device_proc)},
        {"vkCreateInstance", reinterpret_cast<PFN_vkVoidFunction>(create_instance)},
        {"vkDestroyInstance", reinterpret_cast<PFN_vkVoidFunction>(destroy_instance)},
        {"vkCreateDevice", reinterpret_cast<PFN_vkVoidFunction>(create_device)},
        {"vkGetPhysicalDeviceMemoryProperties2", reinterpret_cast<PFN_vkVoidFunction>(memory_properties)},
    };
    for (const Hook& hook : kHooks) {
        if (std::strcmp(hook.name, name) == 0) return hook.function;
    }
    if (const auto hook = hook_of_device(name)) return hook;
    return g_instance_proc ? g_instance_proc(instance, name) : nullptr;
}

}  // namespace
}  // namespace atlas::faults

extern "C" __attribute__((visibility("default"))) VKAPI_ATTR VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface* interface) {
    if (interface->loaderLayerInterfaceVersion < 2) return VK_ERROR_INITIALIZATION_FAILED;
    interface->loaderLayerInterfaceVersion = 2;
    interface->pfnGetInstanceProcAddr = atlas::faults::get_instance_proc;
    interface->pfnGetDeviceProcAddr = atlas::faults::get_device_proc;
    interface->pfnGetPhysicalDeviceProcAddr = nullptr;
    return VK_SUCCESS;
}
