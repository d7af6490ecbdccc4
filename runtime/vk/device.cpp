#include "runtime/vk/device.h"

#include <spdlog/spdlog.h>
#include <volk.h>

#include <string>
#include <vector>

#include "runtime/vk/abandoned.h"
#include "runtime/vk/debug_utils.h"
#include "runtime/vk/features.h"
#include "runtime/vk/kernel.h"
#include "runtime/vk/memory.h"
#include "runtime/vk/pipeline_file.h"
#include "runtime/vk/submit.h"
#include "runtime/vk/upload.h"
#include "runtime/vk/vk_error.h"

namespace atlas::vk {

struct Device::State {
    std::shared_ptr<const void> instance;
    DeviceOptions options;
    VkPhysicalDevice physical = nullptr;
    VkDevice handle = nullptr;
    DeviceCaps caps;
    Quirks quirks;
    DebugUtils debug_utils;
    // In order of dependency.
    std::unique_ptr<Queue> queue;
    std::unique_ptr<Memory> memory;
    std::unique_ptr<Uploader> uploader;
    std::unique_ptr<KernelCache> kernels;

    ~State() {
        kernels.reset();
        uploader.reset();
        memory.reset();
        queue.reset();
        if (handle) vkDestroyDevice(handle, nullptr);
    }
};

Device::Device(std::unique_ptr<State> state) : state_(std::move(state)) {}
Device::~Device() {
    if (!state_->queue || state_->queue->settle()) return;
    // Save the compiled pipelines although the device is abandoned.
    if (auto saved = state_->kernels->save(); !saved) spdlog::warn("{}", saved.error().message);
    abandon(std::move(state_));
}
VkDevice Device::handle() const { return state_->handle; }
VkPhysicalDevice Device::physical() const { return state_->physical; }
const DeviceCaps& Device::caps() const { return state_->caps; }
const Quirks& Device::quirks() const { return state_->quirks; }
const DeviceOptions& Device::options() const { return state_->options; }
Memory& Device::memory() { return *state_->memory; }
Uploader& Device::uploader() { return *state_->uploader; }
KernelCache& Device::kernels() { return *state_->kernels; }
Queue& Device::queue() { return *state_->queue; }
const DebugUtils& Device::debug_utils() const { return state_->debug_utils; }

void Device::set_name(uint64_t object, int type, std::string_view name) const {
    if (!state_->debug_utils.on() || object == 0) return;
    const std::string text(name);
    VkDebugUtilsObjectNameInfoEXT info{};
    info.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT;
    info.objectType = static_cast<VkObjectType>(type);
    info.objectHandle = object;
    info.pObjectName = text.c_str();
    state_->debug_utils.set_name(state_->handle, &info);
}

Result<std::unique_ptr<Device>> Device::create(const Instance& instance, const DeviceEntry& entry,
                                               const DeviceOptions& options) {
    if (!entry.caps.has_compute_queue) return fail(ErrorCode::unsupported, "{} has no compute queue", entry.caps.name);
    auto state = std::make_unique<State>();
    state->instance = instance.share();
    state->options = options;
    state->physical = entry.handle;
    state->caps = entry.caps;
    state->quirks = quirks_for(entry.caps);
    state->debug_utils = instance.debug_utils();
    if (options.submission_limit_ms) state->quirks.submission_limit_ms = *options.submission_limit_ms;

    const ExtensionNames available = extensions_of(entry.handle);
    FeatureChain features(available, entry.caps.api_version);
    features.query(entry.handle);
    features.keep_wanted(options.capture_statistics);
    std::vector<const char*> extensions;
    const ExtensionNames wanted = wanted_extensions(available, entry.caps.api_version);
    for (const std::string& name : wanted) extensions.push_back(name.c_str());

    const float priority = 1.0f;
    VkDeviceQueueCreateInfo queue{};
    queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queue.queueFamilyIndex = entry.caps.compute_queue_family;
    queue.queueCount = 1;
    queue.pQueuePriorities = &priority;
    VkDeviceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    info.pNext = &features.root;
    info.queueCreateInfoCount = 1;
    info.pQueueCreateInfos = &queue;
    info.enabledExtensionCount = uint32_t(extensions.size());
    info.ppEnabledExtensionNames = extensions.data();
    const std::string what = fmt::format("opening {}", entry.caps.name);
    ATLAS_TRY_VOID(check(vkCreateDevice(entry.handle, &info, nullptr, &state->handle), what));

    auto device = std::unique_ptr<Device>(new Device(std::move(state)));
    device->set_name(device->handle(), VK_OBJECT_TYPE_DEVICE, entry.caps.name);
    ATLAS_TRY(device->state_->queue, Queue::create(*device));
    device->state_->memory = std::make_unique<Memory>(*device);
    device->state_->uploader = std::make_unique<Uploader>(*device);
    const auto& folder = options.pipeline_cache;
    device->state_->kernels =
        std::make_unique<KernelCache>(*device, folder.empty() ? folder : pipeline_file(folder, entry.caps));
    return device;
}

}  // namespace atlas::vk
