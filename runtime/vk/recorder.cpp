#include "runtime/vk/recorder.h"

#include <volk.h>

#include <algorithm>
#include <array>

#include "runtime/base/check.h"
#include "runtime/vk/barrier.h"
#include "runtime/vk/debug_utils.h"
#include "runtime/vk/device.h"
#include "runtime/vk/recording.h"
#include "runtime/vk/vk_error.h"

namespace atlas::vk {
namespace {

struct Step {
    enum class Kind { dispatch, copy, fill };
    Kind kind = Kind::dispatch;
    const Kernel* kernel = nullptr;
    std::array<uint32_t, 3> groups{};
    uint32_t fill_word = 0;
    uint32_t label = 0;
    size_t first_binding = 0, n_bindings = 0;  // in the recorder's list; of a copy: from, to; of a fill: the range
    size_t first_push_byte = 0;
    double estimated_ms = 0;
    // Planned when it was recorded.
    bool opens_part = false;
    bool after_barrier = false;
};

}  // namespace

struct Recorder::State {
    Device& device;
    std::string name;
    RecorderOptions options;
    HazardTracker hazards;
    SubmissionCutter cutter;
    std::vector<Step> steps;
    std::vector<Binding> bindings;
    std::vector<std::byte> push;
    std::vector<std::string> labels;
    bool finished = false;

    void add(Step step, std::span<const Binding> step_bindings, const Cost& cost);
    std::span<const Binding> of(const Step& step) const {
        return {bindings.data() + step.first_binding, step.n_bindings};
    }
};

Recorder::Recorder(Device& device, std::string_view name, const RecorderOptions& options)
    : state_(new State{.device = device,
                       .name = std::string(name),
                       .options = options,
                       .hazards = {},
                       .cutter = SubmissionCutter(device.quirks()),
                       .steps = {},
                       .bindings = {},
                       .push = {},
                       .labels = {""}}) {}
Recorder::~Recorder() = default;

void Recorder::State::add(Step step, std::span<const Binding> step_bindings, const Cost& cost) {
    ATLAS_CHECK(!finished, "{}: recording after finish()", name);
    step.label = uint32_t(labels.size() - 1);
    step.first_binding = bindings.size();
    step.n_bindings = step_bindings.size();
    bindings.insert(bindings.end(), step_bindings.begin(), step_bindings.end());
    step.estimated_ms = estimate_ms(cost, device.quirks());
    step.opens_part = cutter.next(cost) || steps.empty();
    step.after_barrier = hazards.needs_barrier(step_bindings);
    steps.push_back(step);
}

void Recorder::label(std::string_view name) {
    if (state_->labels.back() != name) state_->labels.emplace_back(name);
}

void Recorder::dispatch(const Dispatch& dispatch) {
    State& s = *state_;
    const DeviceCaps& caps = s.device.caps();
    ATLAS_CHECK(dispatch.kernel != nullptr, "{}: no kernel", s.name);
    const Kernel& kernel = *dispatch.kernel;
    ATLAS_CHECK(dispatch.bindings.size() == kernel.n_bindings(), "{}: {} bindings, takes {}", kernel.name(),
                dispatch.bindings.size(), kernel.n_bindings());
    ATLAS_CHECK(dispatch.push.size() == kernel.push_bytes(), "{}: {} bytes of push constants, takes {}", kernel.name(),
                dispatch.push.size(), kernel.push_bytes());
    for (size_t i = 0; i < dispatch.bindings.size(); ++i) {
        const BufferRange& range = dispatch.bindings[i].range;
        ATLAS_CHECK(range.buffer != nullptr && range.bytes > 0, "{}: binding {} is empty", kernel.name(), i);
        ATLAS_CHECK(range.bytes <= caps.max_storage_buffer_range, "{}: binding {} has {} bytes, the device binds {}",
                    kernel.name(), i, range.bytes, caps.max_storage_buffer_range);
        ATLAS_CHECK(range.offset_bytes % std::max(1u, caps.min_storage_buffer_offset_alignment) == 0,
                    "{}: binding {} at {}, alignment {}", kernel.name(), i, range.offset_bytes,
                    caps.min_storage_buffer_offset_alignment);
    }
    for (size_t i = 0; i < 3; ++i) {
        ATLAS_CHECK(dispatch.groups[i] > 0 && dispatch.groups[i] <= caps.max_workgroup_count[i],
                    "{}: {} workgroups of dimension {}, at most {}", kernel.name(), dispatch.groups[i], i,
                    caps.max_workgroup_count[i]);
    }
    Step step{.kernel = dispatch.kernel, .groups = dispatch.groups, .first_push_byte = s.push.size()};
    s.push.insert(s.push.end(), dispatch.push.begin(), dispatch.push.end());
    s.add(step, dispatch.bindings, dispatch.cost);
}

void Recorder::copy(const BufferRange& from, const BufferRange& to) {
    ATLAS_CHECK(from.bytes == to.bytes && from.bytes > 0, "{}: copying {} bytes to {}", state_->name, from.bytes,
                to.bytes);
    ATLAS_CHECK(from.buffer != to.buffer || from.offset_bytes + from.bytes <= to.offset_bytes ||
                    to.offset_bytes + to.bytes <= from.offset_bytes,
                "{}: copying {} bytes from {} to {} of one buffer", state_->name, from.bytes, from.offset_bytes,
                to.offset_bytes);
    const std::array<Binding, 2> both = {Binding{from, Access::read}, Binding{to, Access::write}};
    state_->add({.kind = Step::Kind::copy}, both, {.bytes = 2.0 * double(from.bytes)});
}

void Recorder::fill(const BufferRange& range, uint32_t word) {
    ATLAS_CHECK(range.offset_bytes % 4 == 0 && range.bytes % 4 == 0 && range.bytes > 0, "{}: filling {} bytes at {}",
                state_->name, range.bytes, range.offset_bytes);
    const Binding written{range, Access::write};
    state_->add({.kind = Step::Kind::fill, .fill_word = word}, {&written, 1}, {.bytes = double(range.bytes)});
}

namespace {

/// Makes command buffers of the planned steps.
class Writer {
  public:
    Writer(Device& device, const Recorder::State& plan, Recording::State& out)
        : device_(device), plan_(plan), out_(out) {}

    Result<void> write();

  private:
    Result<void> make_pools();
    Result<void> make_sets();
    Result<void> open_part(const Step& step);
    Result<void> close_part(bool last);
    void open_span(const Step& step);
    void close_span();
    void write_step(const Step& step, size_t& set);
    void timestamp(uint32_t query);

    Device& device_;
    const Recorder::State& plan_;
    Recording::State& out_;
    std::vector<VkDescriptorSet> sets_;  // one per dispatch
    VkCommandBuffer commands_ = nullptr;
    std::vector<VkCommandBuffer> buffers_;
    uint32_t label_ = 0;
    bool in_span_ = false;
};

Result<void> Writer::make_pools() {
    const VkDevice handle = device_.handle();
    size_t n_descriptors = 0, n_parts = 0, n_spans = 0;
    for (size_t i = 0; i < plan_.steps.size(); ++i) {
        const Step& step = plan_.steps[i];
        n_parts += step.opens_part;
        n_spans += step.opens_part || plan_.steps[i - 1].label != step.label;
        if (step.kind != Step::Kind::dispatch) continue;
        ++out_.n_dispatches;
        n_descriptors += step.n_bindings;
    }
    VkCommandPoolCreateInfo pool{};
    pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    pool.queueFamilyIndex = device_.caps().compute_queue_family;
    ATLAS_TRY_VOID(check(vkCreateCommandPool(handle, &pool, nullptr, &out_.commands), "making a command pool"));
    device_.set_name(out_.commands, VK_OBJECT_TYPE_COMMAND_POOL, out_.name);
    buffers_.resize(n_parts);
    VkCommandBufferAllocateInfo buffers{};
    buffers.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    buffers.commandPool = out_.commands;
    buffers.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
    buffers.commandBufferCount = uint32_t(n_parts);
    if (n_parts > 0)
        ATLAS_TRY_VOID(check(vkAllocateCommandBuffers(handle, &buffers, buffers_.data()), "making command buffers"));
    if (n_descriptors > 0) {
        const VkDescriptorPoolSize size{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, uint32_t(n_descriptors)};
        VkDescriptorPoolCreateInfo descriptors{};
        descriptors.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
        descriptors.maxSets = uint32_t(out_.n_dispatches);
        descriptors.poolSizeCount = 1;
        descriptors.pPoolSizes = &size;
        ATLAS_TRY_VOID(check(vkCreateDescriptorPool(handle, &descriptors, nullptr, &out_.descriptors),
                             "making a descriptor pool"));
        device_.set_name(out_.descriptors, VK_OBJECT_TYPE_DESCRIPTOR_POOL, out_.name);
    }
    if (plan_.options.profile && device_.caps().timestamp_valid_bits > 0 && n_spans > 0) {
        out_.n_queries = uint32_t(2 * n_spans);
        VkQueryPoolCreateInfo queries{};
        queries.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO;
        queries.queryType = VK_QUERY_TYPE_TIMESTAMP;
        queries.queryCount = out_.n_queries;
        ATLAS_TRY_VOID(check(vkCreateQueryPool(handle, &queries, nullptr, &out_.queries), "making a query pool"));
        device_.set_name(out_.queries, VK_OBJECT_TYPE_QUERY_POOL, out_.name);
    }
    return {};
}

Result<void> Writer::make_sets() {
    std::vector<VkDescriptorSetLayout> layouts;
    for (const Step& step : plan_.steps) {
        if (step.kind == Step::Kind::dispatch) layouts.push_back(step.kernel->set_layout());
    }
    if (layouts.empty()) return {};
    sets_.resize(layouts.size());
    VkDescriptorSetAllocateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
    info.descriptorPool = out_.descriptors;
    info.descriptorSetCount = uint32_t(layouts.size());
    info.pSetLayouts = layouts.data();
    ATLAS_TRY_VOID(check(vkAllocateDescriptorSets(device_.handle(), &info, sets_.data()), "making descriptor sets"));
    size_t set = 0;
    for (const Step& step : plan_.steps) {
        if (step.kind != Step::Kind::dispatch) continue;
        std::array<VkDescriptorBufferInfo, kMaxBindings> buffers{};
        std::array<VkWriteDescriptorSet, kMaxBindings> writes{};
        const auto bindings = plan_.of(step);
        for (size_t i = 0; i < bindings.size(); ++i) {
            buffers[i] = {bindings[i].range.buffer, bindings[i].range.offset_bytes, bindings[i].range.bytes};
            writes[i].sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
            writes[i].dstSet = sets_[set];
            writes[i].dstBinding = uint32_t(i);
            writes[i].descriptorCount = 1;
            writes[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
            writes[i].pBufferInfo = &buffers[i];
        }
        vkUpdateDescriptorSets(device_.handle(), uint32_t(bindings.size()), writes.data(), 0, nullptr);
        device_.set_name(sets_[set], VK_OBJECT_TYPE_DESCRIPTOR_SET, step.kernel->name());
        ++set;
    }
    return {};
}

Result<void> Writer::open_part(const Step& step) {
    const size_t index = out_.parts.size();
    commands_ = buffers_[index];
    std::string what =
        buffers_.size() == 1 ? out_.name : fmt::format("{}, part {} of {}", out_.name, index + 1, buffers_.size());
    if (!plan_.labels[step.label].empty()) what += fmt::format(", from \"{}\"", plan_.labels[step.label]);
    device_.set_name(commands_, VK_OBJECT_TYPE_COMMAND_BUFFER, what);
    out_.parts.push_back({commands_, std::move(what), 0, 0});
    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    ATLAS_TRY_VOID(check(vkBeginCommandBuffer(commands_, &begin), "recording"));
    // Submissions of one recording follow each other in one queue, so the derived barriers reach across them.
    if (index > 0) return {};
    barrier(commands_, kEverythingBefore, kDeviceUses);
    if (out_.queries) vkCmdResetQueryPool(commands_, out_.queries, 0, out_.n_queries);
    return {};
}

Result<void> Writer::close_part(bool last) {
    close_span();
    if (last) barrier(commands_, kDeviceWrites, kHostUses);
    return check(vkEndCommandBuffer(commands_), "recording");
}

void Writer::timestamp(uint32_t query) {
    if (out_.queries) vkCmdWriteTimestamp(commands_, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, out_.queries, query);
}

void Writer::open_span(const Step& step) {
    in_span_ = true;
    label_ = step.label;
    const std::string& label = plan_.labels[label_];
    if (device_.debug_utils().on()) {
        VkDebugUtilsLabelEXT info{};
        info.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_LABEL_EXT;
        info.pLabelName = label.c_str();
        device_.debug_utils().begin_label(commands_, &info);
    }
    if (!plan_.options.profile) return;
    // Nothing of the previous label may still run, or its time would count twice.
    if (out_.queries) barrier(commands_, kDeviceWrites, kDeviceUses);
    out_.spans.push_back({label, uint32_t(2 * out_.spans.size()), 0});
    timestamp(out_.spans.back().first_query);
}

void Writer::close_span() {
    if (!in_span_) return;
    in_span_ = false;
    if (plan_.options.profile) timestamp(out_.spans.back().first_query + 1);
    if (device_.debug_utils().on()) device_.debug_utils().end_label(commands_);
}

void Writer::write_step(const Step& step, size_t& set) {
    const auto bindings = plan_.of(step);
    if (step.kind == Step::Kind::copy) {
        const VkBufferCopy region{bindings[0].range.offset_bytes, bindings[1].range.offset_bytes,
                                  bindings[0].range.bytes};
        vkCmdCopyBuffer(commands_, bindings[0].range.buffer, bindings[1].range.buffer, 1, &region);
        return;
    }
    if (step.kind == Step::Kind::fill) {
        vkCmdFillBuffer(commands_, bindings[0].range.buffer, bindings[0].range.offset_bytes, bindings[0].range.bytes,
                        step.fill_word);
        return;
    }
    const Kernel& kernel = *step.kernel;
    vkCmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, kernel.pipeline());
    vkCmdBindDescriptorSets(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, kernel.layout(), 0, 1, &sets_[set], 0, nullptr);
    if (kernel.push_bytes() > 0) {
        vkCmdPushConstants(commands_, kernel.layout(), VK_SHADER_STAGE_COMPUTE_BIT, 0, kernel.push_bytes(),
                           plan_.push.data() + step.first_push_byte);
    }
    vkCmdDispatch(commands_, step.groups[0], step.groups[1], step.groups[2]);
    if (plan_.options.profile) ++out_.spans.back().dispatches;
    ++set;
}

Result<void> Writer::write() {
    ATLAS_TRY_VOID(make_pools());
    ATLAS_TRY_VOID(make_sets());
    size_t set = 0;
    for (const Step& step : plan_.steps) {
        if (step.opens_part) {
            if (commands_) ATLAS_TRY_VOID(close_part(false));
            ATLAS_TRY_VOID(open_part(step));
        }
        if (in_span_ && label_ != step.label) close_span();
        if (step.after_barrier) {
            barrier(commands_, kDeviceWrites, kDeviceUses);
            ++out_.n_barriers;
        }
        if (!in_span_) open_span(step);
        write_step(step, set);
        out_.parts.back().estimated_ms += step.estimated_ms;
        ++out_.parts.back().n_dispatches;
    }
    return commands_ ? close_part(true) : Result<void>{};
}

}  // namespace

Result<Recording> Recorder::finish() {
    State& s = *state_;
    ATLAS_CHECK(!s.finished, "{}: finish() twice", s.name);
    s.finished = true;
    auto out = std::make_unique<Recording::State>();
    out->device = &s.device;
    out->name = s.name;
    if (auto written = Writer(s.device, s, *out).write(); !written) return fail_in(s.name, std::move(written).error());
    return Recording(std::move(out));
}

}  // namespace atlas::vk
