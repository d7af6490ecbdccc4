#pragma once
// The device's one queue: submissions in order, counted by a timeline semaphore.

#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "runtime/base/error.h"
#include "runtime/vk/handles.h"

namespace atlas::vk {

class Device;
class Recording;

class Queue {
  public:
    static Result<std::unique_ptr<Queue>> create(Device& device);
    ~Queue();

    /// Submits every part of the recording, each as a submission of its own, and waits for the last. Where a stop may
    /// be requested (DeviceOptions), only a few parts are submitted ahead; after a stop the rest is not.
    /// Fails: device_lost (with what was running and what to do), out_of_memory, cancelled.
    Result<void> run(const Recording& recording);
    /// The same without waiting, in one call of the driver. The value is reached when the last part is done; until then
    /// the recording must stay as it is. Allocates nothing once as many parts were submitted before. Fails: as run.
    Result<uint64_t> submit(const Recording& recording);
    /// Submits several recordings, each once, one after the other, in one driver call. Each recording waits for all
    /// that comes before it. Adjacent recordings share a device submission as long as both together stay within what a
    /// submission may cost. Fails: as run.
    Result<uint64_t> submit(std::span<const Recording* const> recordings);

    /// Submits one command buffer; `what` names it in errors. Returns the timeline value that is reached when it is
    /// done.
    Result<uint64_t> submit(VkCommandBuffer commands, std::string_view what);
    /// Waits until the timeline reaches the value. Fails: device_lost, also when timeout_ms pass without an end. Every
    /// later call fails then.
    Result<void> wait(uint64_t value, double timeout_ms);
    Result<void> wait(uint64_t value);  // with the device's own timeout
    /// Waits for all submitted work, so that what it used may be freed. False if that never finishes: the device hangs
    /// or was lost with work pending, and may read and write its memory for as long as the process lives. Then nothing
    /// that a submission refers to may ever be freed: neither memory, nor pools, nor pipelines, nor the device. Stays
    /// false. After a failed wait it takes a second at most, ten on a software device.
    bool settle();
    uint64_t last_submitted() const;
    uint64_t reached() const;

    /// Records, submits and waits for a few commands: for setting up, never in a step.
    Result<void> run_once(std::string_view what, const std::function<void(VkCommandBuffer)>& record);

  private:
    struct State;
    Result<void> check_usable() const;
    Result<void> run_stoppable(const Recording& recording);
    explicit Queue(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace atlas::vk
