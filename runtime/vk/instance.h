#pragma once
// The Vulkan instance, validation messages, and the choice of a device.

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "runtime/vk/caps.h"

namespace atlas::vk {

struct InstanceOptions {
    bool validation = false;       // VK_LAYER_KHRONOS_validation; fails if it is not installed
    bool sync_validation = false;  // its synchronisation checks as well
    bool names = false;  // name objects and label commands for a debugger or a capture tool; always on with validation
};

struct ValidationMessage {
    bool error = false;  // else a warning
    std::string id;      // "VUID-..." or "SYNC-HAZARD-..."
    std::string text;
};

/// Keeps the messages of the validation layers. Thread: any.
class MessageLog {
  public:
    void add(ValidationMessage message);
    size_t count() const;
    std::vector<ValidationMessage> take();  // all so far; empties the log

  private:
    mutable std::mutex mutex_;
    std::vector<ValidationMessage> messages_;
};

/// A device of the system and its capabilities; `rejection` is empty if it is usable.
struct DeviceEntry {
    VkPhysicalDevice handle = nullptr;
    DeviceCaps caps;
    std::string rejection;
};

struct DebugUtils;

class Instance {
  public:
    /// Fails: no_device (no Vulkan loader or driver: says what to install), unsupported (validation asked for and
    /// absent).
    static Result<Instance> create(const InstanceOptions& options);
    ~Instance();
    Instance(Instance&& other) noexcept;
    Instance& operator=(Instance&& other) noexcept;

    VkInstance handle() const;
    const InstanceOptions& options() const;
    const DebugUtils& debug_utils() const;
    /// Every device, in the loader's order.
    Result<std::vector<DeviceEntry>> devices() const;
    MessageLog& messages() const;
    /// Keeps the instance alive: of every device.
    std::shared_ptr<const void> share() const;

  private:
    struct State;
    explicit Instance(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

/// Why this device cannot run atlas-vk, or empty.
std::string rejection_of(const DeviceCaps& caps);

/// The user's choice: "" = the best, "1" = an index in the loader's order, else a UUID or a part of the name, case
/// ignored.
struct DeviceChoice {
    size_t index = 0;
    std::string reason;  // one clause: "the only discrete device", "asked for by index"
};

/// Prefers discrete over integrated over virtual over software, then more memory. Pure.
/// Fails: no_device with the reason of every rejection and what to install; invalid_argument if the wish names no
/// device or one that cannot run atlas-vk.
Result<DeviceChoice> choose_device(std::span<const DeviceCaps> devices, std::string_view wish);

/// One paragraph for users who have no usable device.
std::string what_to_install();

}  // namespace atlas::vk
