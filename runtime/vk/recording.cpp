#include "runtime/vk/recording.h"

#include <volk.h>

#include "runtime/vk/device.h"
#include "runtime/vk/submit.h"

namespace atlas::vk {

Recording::State::~State() {
    if (!device || !device->queue().settle()) return;
    vkDestroyQueryPool(device->handle(), queries, nullptr);
    vkDestroyDescriptorPool(device->handle(), descriptors, nullptr);
    vkDestroyCommandPool(device->handle(), commands, nullptr);
}

Recording::Recording(std::unique_ptr<State> state) : state_(std::move(state)) {}
Recording::~Recording() = default;
Recording::Recording(Recording&& other) noexcept = default;
Recording& Recording::operator=(Recording&& other) noexcept = default;
const std::string& Recording::name() const { return state_->name; }
size_t Recording::n_submissions() const { return state_->parts.size(); }
size_t Recording::n_dispatches() const { return state_->n_dispatches; }
size_t Recording::n_barriers() const { return state_->n_barriers; }

}  // namespace atlas::vk
