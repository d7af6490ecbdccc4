#pragma once
// Storage on a Vulkan device.

#include <memory>

#include "runtime/ops/tensor.h"
#include "runtime/vk/device.h"
#include "runtime/vk/instance.h"
#include "runtime/vk/memory.h"

namespace atlas {

/// An instance with its one device, which lives as long as anything that lies on it.
struct VkHolder {
    explicit VkHolder(vk::Instance made) : instance(std::move(made)) {}
    vk::Instance instance;
    std::unique_ptr<vk::Device> device;
};

/// A range of a device. Without a buffer it is only a size: plans can be made with it, but nothing can run.
class VkStorage final : public Storage {
  public:
    VkStorage(std::shared_ptr<VkHolder> holder, std::string name, const vk::BufferRange& range)
        : Storage(std::move(name), range.bytes), holder_(std::move(holder)), range_(range) {}
    ~VkStorage() override {
        if (range_) holder_->device->memory().release(range_);
    }

    const vk::BufferRange& range() const { return range_; }
    /// Its range belongs to another storage now.
    void forget() { range_ = {}; }

  private:
    std::shared_ptr<VkHolder> holder_;
    vk::BufferRange range_;
};

}  // namespace atlas
