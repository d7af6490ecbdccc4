#pragma once
// The logical device and the objects that belong to it. One thread uses a Device; only KernelCache builds on several.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "runtime/vk/caps.h"
#include "runtime/vk/instance.h"
#include "runtime/vk/quirks.h"

namespace atlas::vk {

class Memory;
class Uploader;
class KernelCache;
class Queue;

struct DeviceOptions {
    std::filesystem::path pipeline_cache =
        {};  // folder of the pipelines on disk, a file per device and driver; empty: none
    std::optional<uint64_t> memory_limit_bytes =
        {};  // never use more than this of the main heap, whatever the budget says
    std::optional<double> submission_limit_ms = {};  // overrides the quirk
    double timeout_ms = 60'000;       // after which a submission counts as hung; software devices get ten times that
    bool capture_statistics = false;  // pipelines keep VK_KHR_pipeline_executable_properties statistics
    /// Asked between two pipelines of KernelCache::build_all and between two submissions of Queue::run, by any thread;
    /// true: what is left of them is not begun, and they fail with `cancelled`. Empty: never.
    std::function<bool()> stop_requested = {};
};

class Device {
  public:
    /// The device keeps the instance alive. A rejected device can be opened too, for instance to compile kernels for a
    /// card that is not there. Fails: unsupported (the driver refuses), out_of_memory, device_lost.
    static Result<std::unique_ptr<Device>> create(const Instance& instance, const DeviceEntry& entry,
                                                  const DeviceOptions& options = {});
    /// Waits for all submitted work. If that never finishes (see Queue::settle), the device and its objects are leaked;
    /// only this handle goes.
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    VkDevice handle() const;
    VkPhysicalDevice physical() const;
    const DeviceCaps& caps() const;
    const Quirks& quirks() const;
    const DeviceOptions& options() const;
    bool stop_requested() const { return options().stop_requested && options().stop_requested(); }

    Memory& memory();
    Uploader& uploader();
    KernelCache& kernels();
    Queue& queue();

    /// Names a Vulkan object for debuggers and validation messages; does nothing without debug utils. type:
    /// VkObjectType.
    void set_name(uint64_t object, int type, std::string_view name) const;
    template <class Handle>
    void set_name(Handle* object, int type, std::string_view name) const {
        set_name(reinterpret_cast<uint64_t>(object), type, name);
    }
    const DebugUtils& debug_utils() const;

  private:
    struct State;
    explicit Device(std::unique_ptr<State> state);
    std::shared_ptr<State> state_;
};

}  // namespace atlas::vk
