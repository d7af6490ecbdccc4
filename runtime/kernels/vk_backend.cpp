#include "runtime/kernels/vk_backend.h"

#include <algorithm>
#include <cstring>

#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/tested_variants.h"
#include "runtime/vk/device_title.h"
#include "runtime/vk/memory_type.h"
#include "runtime/vk/profiler.h"
#include "runtime/vk/recorder.h"
#include "runtime/vk/submit.h"
#include "runtime/vk/upload.h"

namespace atlas {

namespace {

constexpr int kConstantsUse = kMemoryUses;  // the uses after MemoryUse are ours
constexpr const char* kUseNames[] = {"weights", "kv", "scratch", "step", "output", "constants"};

// Storages of a cache share slabs of device memory no larger than this: when the cache shrinks, a slab is freed as soon
// as everything in it has moved, so at most this much memory is allocated twice. A cache of many GiB has larger
// storages, each alone in its slab.
constexpr uint64_t kMostSharedKvBytes = uint64_t{64} << 20;

class VkProgram final : public Program {
  public:
    VkProgram(std::shared_ptr<VkHolder> made_on, std::shared_ptr<Storage> with_scratch, vk::Recording recorded)
        : holder(std::move(made_on)), scratch(std::move(with_scratch)), recording(std::move(recorded)) {}

    std::shared_ptr<VkHolder> holder;
    std::shared_ptr<Storage>
        scratch;  // stays while this program may run, also when a larger one has been reserved since
    vk::Recording recording;
};

const VkProgram& vulkan(const Program& program) {
    const auto* mine = dynamic_cast<const VkProgram*>(&program);
    ATLAS_CHECK(mine != nullptr, "a program of another backend");
    return *mine;
}

const vk::BufferRange& range_of(const Storage& storage) {
    const auto* mine = dynamic_cast<const VkStorage*>(&storage);
    ATLAS_CHECK(mine != nullptr, "{} is not of this backend", storage.name());
    return mine->range();
}

vk::Placement placement_of(int use) {
    if (use == int(MemoryUse::step)) return vk::Placement::host_write;
    if (use == int(MemoryUse::output)) return vk::Placement::host_read;
    return vk::Placement::device;
}

}  // namespace

struct VkBackend::State {
    std::shared_ptr<VkHolder> holder;
    VkBackendOptions options;
    VkOpsContext context;
    ConstantPool pool;
    size_t constants_uploaded_bytes = 0;
    std::unique_ptr<Storage> constants;
    std::shared_ptr<Storage> scratch;
    std::unique_ptr<TestedVariants> tested;
    std::vector<const vk::Recording*>
        submitted_together;  // of the last submit_all, kept so that it need not be allocated again

    // write() and read() cannot fail by contract; where the driver refuses to flush, the next run fails instead of
    // computing with stale data.
    std::optional<Error> host_access_error;
    void keep_error(const Result<void>& done) {
        if (!done && !host_access_error) host_access_error = done.error();
    }

    vk::Device& device() const { return *holder->device; }
    Result<std::unique_ptr<Storage>> allocate(int use, uint64_t bytes, std::string_view name);
    Result<void> upload_constants();
};

Result<std::unique_ptr<Storage>> VkBackend::State::allocate(int use, uint64_t bytes, std::string_view name) {
    ATLAS_TRY(const vk::BufferRange range,
              device().memory().allocate(use, bytes, name,
                                         {.placement = placement_of(use), .zero = use != int(MemoryUse::weights)}));
    return std::make_unique<VkStorage>(holder, std::string(name), range);
}

Result<void> VkBackend::State::upload_constants() {
    if (pool.overflowed()) {
        return fail(ErrorCode::limit, "rope tables of more than {} bytes: too many different rotations on one device",
                    ConstantPool::kCapacityBytes);
    }
    const auto fresh = pool.bytes().subspan(constants_uploaded_bytes);
    if (fresh.empty()) return {};
    ATLAS_TRY_VOID(device().uploader().upload(range_of(*constants), constants_uploaded_bytes, fresh));
    ATLAS_TRY_VOID(device().uploader().finish());
    constants_uploaded_bytes = pool.bytes().size();
    return {};
}

VkBackend::VkBackend(std::unique_ptr<State> state) : state_(std::move(state)) {}
VkBackend::~VkBackend() = default;

std::string VkBackend::describe() const {
    return fmt::format("{}{}", vk::device_title(caps()), is_software() ? ", no GPU: slow" : "");
}

const vk::DeviceCaps& VkBackend::caps() const { return state_->device().caps(); }
const vk::DeviceCaps& VkBackend::kernel_caps() const { return state_->context.caps; }
KernelChoices& VkBackend::choices() { return state_->context.choices; }
const KernelChoices& VkBackend::choices() const { return state_->context.choices; }
bool VkBackend::is_software() const { return state_->device().quirks().slow; }

MemoryBudget VkBackend::budget() const {
    const vk::HeapState heap = state_->device().memory().heap();
    return {heap.total_bytes, heap.available_bytes, heap.unlimited_bytes, heap.used_bytes};
}

uint64_t VkBackend::max_storage_bytes() const { return state_->device().memory().max_range_bytes(); }

// Every format has a baseline variant, and devices without 8- and 16-bit storage are rejected.
bool VkBackend::can_read(Format) const { return true; }

Layout VkBackend::weight_layout(Format weight_format, uint32_t cols) const {
    if (!can_be_planar(weight_format, cols)) return Layout::blocks;
    return state_->options.weight_layout.value_or(choose_layout(state_->context.caps, weight_format));
}

Result<std::unique_ptr<Storage>> VkBackend::allocate(MemoryUse use, uint64_t bytes, std::string_view name) {
    return state_->allocate(int(use), bytes, name);
}

Result<void> VkBackend::shrink(std::unique_ptr<Storage>& storage, uint64_t bytes) {
    ATLAS_TRY_VOID(finish_uploads());
    ATLAS_TRY(const vk::BufferRange range,
              state_->device().memory().shrink(range_of(*storage), bytes, storage->name()));
    auto* old = dynamic_cast<VkStorage*>(storage.get());
    old->forget();
    storage = std::make_unique<VkStorage>(state_->holder, storage->name(), range);
    return {};
}

void VkBackend::expect(MemoryUse use, std::span<const uint64_t> storages_bytes) {
    state_->device().memory().expect(int(use), storages_bytes);
}

uint64_t VkBackend::overhead_bytes() const {
    const auto staging = vk::memory_type_for(caps(), UINT32_MAX, vk::Placement::staging);
    const bool staged_there = staging && caps().memory_types[*staging].heap == vk::main_heap(caps()).index;
    const bool staged = !state_->device().memory().device_memory_is_mapped();
    return kPipelineAllowanceBytes + (staged && staged_there ? vk::kUploadRingBytes : 0);
}

std::vector<vk::UseStatistics> VkBackend::memory_statistics() const { return state_->device().memory().statistics(); }

Result<void> VkBackend::upload(Storage& to, uint64_t offset_bytes, std::span<const std::byte> bytes) {
    ATLAS_CHECK(offset_bytes + bytes.size() <= to.bytes(), "{}: upload {}+{} of {}", to.name(), offset_bytes,
                bytes.size(), to.bytes());
    return state_->device().uploader().upload(range_of(to), offset_bytes, bytes);
}

Result<void> VkBackend::finish_uploads() { return state_->device().uploader().finish(); }

Result<void> VkBackend::reserve_scratch(uint64_t bytes) {
    if (state_->scratch && state_->scratch->bytes() >= bytes) return {};
    bytes = std::max<uint64_t>(bytes, 1);
    // Free the smaller one first if no program runs on it any more: the plan has no room for both at once.
    if (state_->scratch.use_count() == 1) {
        state_->context.scratch = nullptr;
        state_->scratch.reset();
    }
    expect(MemoryUse::scratch, {&bytes, 1});
    ATLAS_TRY(auto fresh, state_->allocate(int(MemoryUse::scratch), bytes, "scratch"));
    state_->scratch = std::move(fresh);
    state_->context.scratch = state_->scratch.get();
    return {};
}

uint64_t VkBackend::scratch_bytes() const { return state_->scratch ? state_->scratch->bytes() : 0; }

// Tests the variants that this pass is the first to use, then plans it again: some may have been rejected, and the
// tests may have taken more scratch. Terminates because every variant is tested once.
Result<DispatchPlan> VkBackend::plan(std::string_view name, const std::function<void(Ops&)>& pass) {
    for (;;) {
        DispatchPlan made;
        std::vector<MatmulUse> used;
        std::vector<AttentionUse> attention;
        const bool test = state_->options.self_test && !choices().only && choices().only_attention == nullptr;
        choices().log = test ? &used : nullptr;
        choices().attention_log = test ? &attention : nullptr;
        VkOps ops(state_->context, made);
        pass(ops);
        choices().log = nullptr;
        choices().attention_log = nullptr;
        if (made.error) return fail_in(name, *made.error);
        if (!test) return made;
        const auto tests = state_->tested->test_new(*this, choices(), used, attention);
        if (state_->options.kernel_progress) state_->options.kernel_progress(0, 0);
        ATLAS_TRY(const bool tested, tests);
        if (tested) continue;
        ATLAS_TRY(const bool again, state_->tested->conclude(choices(), used, attention));
        if (!again) return made;
    }
}

Result<std::unique_ptr<Program>> VkBackend::record(std::string_view name, const std::function<void(Ops&)>& pass) {
    ATLAS_TRY(const DispatchPlan plan, this->plan(name, pass));
    ATLAS_TRY_VOID(state_->upload_constants());

    vk::Device& device = state_->device();
    const bool is_of_test = choices().only || choices().only_attention != nullptr;  // which shows its own progress
    const auto& progress = state_->options.kernel_progress;
    const auto built = device.kernels().build_all(plan.kernels, is_of_test ? vk::KernelCache::Progress{} : progress);
    if (progress && !is_of_test) progress(0, 0);
    ATLAS_TRY_VOID(built);
    std::vector<const vk::Kernel*> kernels;
    for (const vk::KernelSpec& spec : plan.kernels) {
        ATLAS_TRY(const vk::Kernel* kernel, device.kernels().get(spec));
        kernels.push_back(kernel);
    }
    vk::Recorder recorder(device, name, {.profile = state_->options.profile});
    std::string part;
    for (const PlannedDispatch& planned : plan.dispatches) {
        if (!planned.label.empty()) part = planned.label;
        // Labels for a profile are as fine as kernels are; a debugger's are parts of the model.
        if (state_->options.profile) {
            recorder.label(fmt::format("{}: {}", part, kernels[planned.kernel]->name()));
        } else if (!planned.label.empty()) {
            recorder.label(planned.label);
        }
        recorder.dispatch({.kernel = kernels[planned.kernel],
                           .bindings = planned.bindings,
                           .push = planned.push,
                           .groups = planned.groups,
                           .cost = planned.cost});
    }
    ATLAS_TRY(auto recording, recorder.finish());
    return std::make_unique<VkProgram>(state_->holder, state_->scratch, std::move(recording));
}

Result<uint64_t> VkBackend::submit(Program& program) {
    if (state_->host_access_error) return tl::unexpected(*state_->host_access_error);
    return state_->device().queue().submit(vulkan(program).recording);
}

Result<uint64_t> VkBackend::submit_all(std::span<Program* const> programs) {
    if (state_->host_access_error) return tl::unexpected(*state_->host_access_error);
    auto& recordings = state_->submitted_together;
    recordings.clear();
    for (const Program* program : programs) recordings.push_back(&vulkan(*program).recording);
    return state_->device().queue().submit(std::span<const vk::Recording* const>(recordings));
}

Result<void> VkBackend::wait(uint64_t ticket) { return state_->device().queue().wait(ticket); }

Result<void> VkBackend::run(Program& program) {
    if (state_->host_access_error) return tl::unexpected(*state_->host_access_error);
    return state_->device().queue().run(vulkan(program).recording);
}

void VkBackend::write(Storage& to, uint64_t offset_bytes, std::span<const std::byte> bytes) {
    ATLAS_CHECK(offset_bytes + bytes.size() <= to.bytes(), "{}: write {}+{} of {}", to.name(), offset_bytes,
                bytes.size(), to.bytes());
    if (bytes.empty()) return;
    const vk::BufferRange part = range_of(to).sub(offset_bytes, bytes.size());
    ATLAS_CHECK(part.mapped != nullptr, "{}: only step and output storages are written between runs; use upload",
                to.name());
    std::memcpy(part.mapped, bytes.data(), bytes.size());
    state_->keep_error(state_->device().memory().flush(part));
}

void VkBackend::read(const Storage& from, uint64_t offset_bytes, std::span<std::byte> bytes) {
    ATLAS_CHECK(offset_bytes + bytes.size() <= from.bytes(), "{}: read {}+{} of {}", from.name(), offset_bytes,
                bytes.size(), from.bytes());
    if (bytes.empty()) return;
    const vk::BufferRange part = range_of(from).sub(offset_bytes, bytes.size());
    ATLAS_CHECK(part.mapped != nullptr, "{}: only step and output storages are read between runs", from.name());
    state_->keep_error(state_->device().memory().invalidate(part));
    std::memcpy(bytes.data(), part.mapped, bytes.size());
}

Result<std::vector<vk::LabelTime>> VkBackend::label_times(const Program& program) const {
    return vk::label_times(state_->device(), vulkan(program).recording);
}

VkBackend::ProgramSize VkBackend::size_of(const Program& program) const {
    const vk::Recording& recording = vulkan(program).recording;
    return {recording.n_dispatches(), recording.n_submissions()};
}

std::vector<vk::ValidationMessage> VkBackend::take_validation_messages() {
    return state_->holder->instance.messages().take();
}

namespace {

VkOpsContext make_context(const VkBackendOptions& options, const vk::Device& device) {
    VkOpsContext context;
    context.caps = device.caps();
    context.quirks = device.quirks();
    if (options.tune_for_gpu) {
        context.caps.type = vk::DeviceType::discrete;
        context.caps.subgroup_size = 32;
    }
    if (options.submission_limit_ms) context.quirks.submission_limit_ms = *options.submission_limit_ms;
    if (options.rates)
        std::tie(context.quirks.gflops, context.quirks.gbps) = std::pair((*options.rates)[0], (*options.rates)[1]);
    context.max_binding_bytes =
        std::min(options.max_binding_bytes.value_or(UINT64_MAX), context.caps.max_storage_buffer_range);
    for (size_t i = 0; i < 3; ++i) {
        context.max_groups[i] = std::min(options.max_groups.value_or(UINT32_MAX), context.caps.max_workgroup_count[i]);
    }
    context.fused = options.fused;
    context.choices.forced = options.forced_matmul;
    return context;
}

}  // namespace

Result<std::unique_ptr<VkBackend>> make_vk_backend(const VkBackendOptions& options) {
    ATLAS_TRY(auto instance,
              vk::Instance::create({.validation = options.validation, .sync_validation = options.validation}));
    ATLAS_TRY(const auto entries, instance.devices());
    std::vector<vk::DeviceCaps> caps;
    for (const vk::DeviceEntry& entry : entries) caps.push_back(entry.caps);
    ATLAS_TRY(const vk::DeviceChoice choice, vk::choose_device(caps, options.device));

    auto state = std::make_unique<VkBackend::State>();
    state->options = options;
    state->holder = std::make_shared<VkHolder>(std::move(instance));
    vk::DeviceOptions device_options;
    device_options.pipeline_cache = options.pipeline_cache;
    device_options.memory_limit_bytes = options.memory_limit_bytes;
    device_options.submission_limit_ms = options.submission_limit_ms;
    device_options.stop_requested = options.stop_requested;
    ATLAS_TRY(state->holder->device,
              vk::Device::create(state->holder->instance, entries[choice.index], device_options));
    vk::Device& device = state->device();
    for (int use = 0; use <= kConstantsUse; ++use) device.memory().name_use(use, kUseNames[use]);
    device.memory().share_at_most(int(MemoryUse::kv), kMostSharedKvBytes);
    ATLAS_TRY(state->constants, state->allocate(kConstantsUse, ConstantPool::kCapacityBytes, "constants"));
    state->context = make_context(options, device);
    state->context.constants = state->constants.get();
    state->context.pool = &state->pool;
    const bool keep = !options.choices_folder.empty();
    TestedVariants::Options tested;
    if (keep) tested.file = choices_file(options.choices_folder, device.caps());
    if (keep || options.self_test) tested.owner = choices_owner(device.caps());
    tested.sabotage = options.sabotage;
    tested.stop_requested = options.stop_requested;
    tested.progress = options.kernel_progress;
    state->tested = std::make_unique<TestedVariants>(std::move(tested));
    state->tested->load(state->context.choices);
    return std::make_unique<VkBackend>(std::move(state));
}

}  // namespace atlas
