#include "runtime/vk/submit.h"

#include <volk.h>

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/vk/device.h"
#include "runtime/vk/recording.h"
#include "runtime/vk/vk_error.h"

namespace atlas::vk {

struct Queue::State {
    Device& device;
    VkQueue handle = nullptr;
    VkSemaphore timeline = nullptr;
    VkCommandPool pool = nullptr;  // of run_once
    uint64_t submitted = 0;
    bool lost = false;       // or hung: nothing is submitted any more
    bool abandoned = false;  // with work pending
    struct Flight {
        uint64_t value;
        std::string_view what;  // of the recording, or once_name
    };
    std::vector<Flight> flights;  // submitted and not known to be done, oldest first
    std::string once_name = {};   // of the last run_once

    // What submit() hands to the driver, kept so that it need not be allocated again: one of each per part.
    std::vector<uint64_t> values = {};
    std::vector<VkTimelineSemaphoreSubmitInfo> timelines = {};
    std::vector<VkSubmitInfo> infos = {};
    std::vector<VkCommandBuffer> buffers = {};  // of all infos, in order
    double open_ms = 0;                         // of the last info, estimated
    uint32_t open_dispatches = 0;

    ~State() {
        vkDestroyCommandPool(device.handle(), pool, nullptr);
        vkDestroySemaphore(device.handle(), timeline, nullptr);
    }

    uint64_t reached() const {
        uint64_t value = 0;
        if (timeline) vkGetSemaphoreCounterValue(device.handle(), timeline, &value);
        return value;
    }

    /// What the device was running when it stopped.
    std::string running() {
        forget_done(reached());
        return flights.empty() ? "nothing of ours" : std::string(flights.front().what);
    }

    void forget_done(uint64_t value) {
        const auto running_now =
            std::find_if(flights.begin(), flights.end(), [value](const Flight& f) { return f.value > value; });
        flights.erase(flights.begin(), running_now);
    }

    void add_part(VkCommandBuffer commands, std::string_view what) {
        buffers.push_back(commands);
        values.push_back(submitted + values.size() + 1);
        timelines.emplace_back();
        infos.emplace_back();
        infos.back().commandBufferCount = 1;
        flights.push_back({values.back(), what});
    }
    /// `first`: of its recording. Errors name a submission of several by the first of them.
    void add_part(const Recording::State::Part& part, bool first) {
        const Quirks& quirks = device.quirks();
        const bool joins = first && !infos.empty() && open_ms + part.estimated_ms <= quirks.submission_limit_ms &&
                           open_dispatches + part.n_dispatches <= quirks.max_dispatches;
        if (joins) {
            buffers.push_back(part.commands);
            ++infos.back().commandBufferCount;
        } else {
            add_part(part.commands, part.what);
            open_ms = 0;
            open_dispatches = 0;
        }
        open_ms += part.estimated_ms;
        open_dispatches += part.n_dispatches;
    }
    Result<uint64_t> submit_parts();

    VkResult wait(uint64_t value, double timeout_ms) {
        VkSemaphoreWaitInfo info{};
        info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO;
        info.semaphoreCount = 1;
        info.pSemaphores = &timeline;
        info.pValues = &value;
        return vkWaitSemaphores(device.handle(), &info, uint64_t(timeout_ms * 1e6));
    }
    // A software device does on two cores what a card does on thousands.
    double slowness() const { return device.quirks().slow ? 10 : 1; }
    double timeout_ms() const { return device.options().timeout_ms * slowness(); }
    bool settle();

    Error failed(VkResult result) {
        const std::string what = fmt::format("{}: running {}", device.caps().name, running());
        if (result == VK_ERROR_DEVICE_LOST) lost = true;
        return error_of(result, what);
    }
};

Queue::Queue(std::unique_ptr<State> state) : state_(std::move(state)) {}
Queue::~Queue() = default;
uint64_t Queue::last_submitted() const { return state_->submitted; }
uint64_t Queue::reached() const { return state_->reached(); }

Result<std::unique_ptr<Queue>> Queue::create(Device& device) {
    auto state = std::unique_ptr<State>(new State{.device = device, .flights = {}});
    vkGetDeviceQueue(device.handle(), device.caps().compute_queue_family, 0, &state->handle);
    device.set_name(state->handle, VK_OBJECT_TYPE_QUEUE, "compute queue");

    // A null device without memory compiles kernels and nothing else; it has no semaphores either.
    if (!main_heap(device.caps()).found) return std::unique_ptr<Queue>(new Queue(std::move(state)));

    VkSemaphoreTypeCreateInfo type{};
    type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
    type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
    VkSemaphoreCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
    info.pNext = &type;
    ATLAS_TRY_VOID(
        check(vkCreateSemaphore(device.handle(), &info, nullptr, &state->timeline), "making the queue's timeline"));
    device.set_name(state->timeline, VK_OBJECT_TYPE_SEMAPHORE, "queue timeline");

    VkCommandPoolCreateInfo pool{};
    pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    pool.flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT;
    pool.queueFamilyIndex = device.caps().compute_queue_family;
    ATLAS_TRY_VOID(check(vkCreateCommandPool(device.handle(), &pool, nullptr, &state->pool), "making a command pool"));
    device.set_name(state->pool, VK_OBJECT_TYPE_COMMAND_POOL, "single commands");
    return std::unique_ptr<Queue>(new Queue(std::move(state)));
}

Result<uint64_t> Queue::State::submit_parts() {
    const size_t n = infos.size();
    const VkCommandBuffer* next_buffers = buffers.data();
    for (size_t i = 0; i < n; ++i) {
        infos[i].pCommandBuffers = next_buffers;
        next_buffers += infos[i].commandBufferCount;
        timelines[i].sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO;
        timelines[i].signalSemaphoreValueCount = 1;
        timelines[i].pSignalSemaphoreValues = &values[i];
        infos[i].sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
        infos[i].pNext = &timelines[i];
        infos[i].signalSemaphoreCount = 1;
        infos[i].pSignalSemaphores = &timeline;
    }
    const VkResult result = vkQueueSubmit(handle, uint32_t(n), infos.data(), VK_NULL_HANDLE);
    infos.clear();
    buffers.clear();
    timelines.clear();
    values.clear();
    if (result != VK_SUCCESS) {
        Error error = failed(result);
        // Vulkan promises that a failed call has submitted nothing, except on a lost device: parts may be running, so
        // they stay in `flights`.
        if (!lost) std::erase_if(flights, [this](const Flight& f) { return f.value > submitted; });
        return tl::unexpected(std::move(error));
    }
    submitted += n;
    return submitted;
}

bool Queue::State::settle() {
    if (flights.empty() || abandoned) return !abandoned;
    const uint64_t last = flights.back().value;
    // Wait once more, but not for long: it may have been slow, not hung. After a loss too: drivers report it before the
    // device has stopped.
    const double patience_ms = lost ? 1000.0 * slowness() : timeout_ms();
    if (wait(last, patience_ms) == VK_SUCCESS || reached() >= last)
        flights.clear();
    else
        lost = abandoned = true;
    return !abandoned;
}

bool Queue::settle() { return state_->settle(); }

Result<void> Queue::check_usable() const {
    const State& s = *state_;
    if (!s.timeline)
        return fail(ErrorCode::unsupported, "{} cannot run anything: it has no memory", s.device.caps().name);
    if (s.lost)
        return fail(ErrorCode::device_lost, "{}: the device was lost before; start again", s.device.caps().name);
    return {};
}

Result<uint64_t> Queue::submit(VkCommandBuffer commands, std::string_view what) {
    ATLAS_TRY_VOID(check_usable());
    state_->once_name = what;
    state_->add_part(commands, state_->once_name);
    return state_->submit_parts();
}

Result<uint64_t> Queue::submit(const Recording& recording) {
    const Recording* const one = &recording;
    return submit(std::span(&one, 1));
}

Result<uint64_t> Queue::submit(std::span<const Recording* const> recordings) {
    ATLAS_TRY_VOID(check_usable());
    for (const Recording* recording : recordings) {
        const auto& parts = recording->state().parts;
        for (size_t i = 0; i < parts.size(); ++i) state_->add_part(parts[i], i == 0);
    }
    return state_->infos.empty() ? state_->submitted : state_->submit_parts();
}

Result<void> Queue::wait(uint64_t value) { return wait(value, state_->timeout_ms()); }

Result<void> Queue::wait(uint64_t value, double timeout_ms) {
    State& s = *state_;
    ATLAS_CHECK(value <= s.submitted, "waiting for {}, submitted {}", value, s.submitted);
    if (s.lost)
        return fail(ErrorCode::device_lost, "{}: the device was lost before; start again", s.device.caps().name);
    const VkResult result = s.wait(value, timeout_ms);
    if (result == VK_TIMEOUT) {
        s.lost = true;
        return fail(ErrorCode::device_lost,
                    "{}: running {}: not finished after {:.1f} s; the device hangs or is far "
                    "slower than estimated",
                    s.device.caps().name, s.running(), timeout_ms / 1000);
    }
    if (result != VK_SUCCESS) return tl::unexpected(s.failed(result));
    s.forget_done(value);
    return {};
}

// So many that the device always has the next one, and so few that a stop waits for little.
constexpr size_t kMostAhead = 3;

Result<void> Queue::run_stoppable(const Recording& recording) {
    const auto& parts = recording.state().parts;
    const uint64_t before = last_submitted();
    for (size_t i = 0; i < parts.size(); ++i) {
        if (i > 0 && state_->device.stop_requested()) {
            // Its commands and what they use must be free when this returns.
            ATLAS_TRY_VOID(wait(last_submitted()));
            return fail(ErrorCode::cancelled, "stopped");
        }
        if (i >= kMostAhead) ATLAS_TRY_VOID(wait(before + i + 1 - kMostAhead));
        ATLAS_TRY_VOID(check_usable());
        state_->add_part(parts[i].commands, parts[i].what);
        ATLAS_TRY_VOID(state_->submit_parts().map([](uint64_t) {}));
    }
    return parts.empty() ? Result<void>{} : wait(last_submitted());
}

Result<void> Queue::run(const Recording& recording) {
    if (state_->device.options().stop_requested) return run_stoppable(recording);
    ATLAS_TRY(const uint64_t last, submit(recording));
    return last == 0 ? Result<void>{} : wait(last);
}

Result<void> Queue::run_once(std::string_view what, const std::function<void(VkCommandBuffer)>& record) {
    State& s = *state_;
    if (!s.pool) return fail(ErrorCode::unsupported, "{} cannot run anything: it has no memory", s.device.caps().name);
    VkCommandBufferAllocateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    info.commandPool = s.pool;
    info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
    info.commandBufferCount = 1;
    VkCommandBuffer commands = nullptr;
    ATLAS_TRY_VOID(check(vkAllocateCommandBuffers(s.device.handle(), &info, &commands), what));
    s.device.set_name(commands, VK_OBJECT_TYPE_COMMAND_BUFFER, what);
    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    Result<void> done = check(vkBeginCommandBuffer(commands, &begin), what);
    if (done) {
        record(commands);
        done = check(vkEndCommandBuffer(commands), what);
    }
    if (done) {
        auto value = submit(commands, what);
        done = value ? wait(*value) : Result<void>(tl::unexpected(std::move(value).error()));
    }
    if (done || settle()) vkFreeCommandBuffers(s.device.handle(), s.pool, 1, &commands);
    return done;
}

}  // namespace atlas::vk
