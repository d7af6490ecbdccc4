#include "runtime/vk/kernel.h"

#include <spdlog/spdlog.h>
#include <volk.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <compare>
#include <map>
#include <mutex>
#include <thread>

#include "runtime/base/check.h"
#include "runtime/base/threads.h"
#include "runtime/vk/device.h"
#include "runtime/vk/pipeline_file.h"
#include "runtime/vk/subgroup_sizes.h"
#include "runtime/vk/vk_error.h"

namespace atlas::vk {
namespace {

struct Key {
    const uint32_t* spirv;
    size_t n_words;
    std::vector<uint32_t> spec_constants;
    uint32_t n_bindings;
    uint32_t required_subgroup_size;

    auto operator<=>(const Key&) const = default;
};

Key key_of(const KernelSpec& spec) {
    return {spec.spirv.data(), spec.spirv.size(), spec.spec_constants, spec.n_bindings, spec.required_subgroup_size};
}

std::string full_name(const KernelSpec& spec) {
    std::string name(spec.name);
    if (!spec.spec_constants.empty()) name += fmt::format("({})", fmt::join(spec.spec_constants, ", "));
    return name;
}

struct Layout {
    VkDescriptorSetLayout set = nullptr;
    VkPipelineLayout pipeline = nullptr;
};

}  // namespace

struct KernelCache::State {
    Device& device;
    std::filesystem::path file;
    VkPipelineCache cache = nullptr;
    bool loaded = false;
    std::mutex mutex;  // of what follows
    std::map<Key, std::unique_ptr<Kernel>> kernels;
    std::array<Layout, kMaxBindings + 1> layouts;
    size_t n_built = 0;
    size_t n_saved = 0;
    std::vector<std::byte> on_disk;  // what the file holds

    void load();
    Result<void> save();
    Result<Layout> layout(uint32_t n_bindings);
    Result<VkPipeline> pipeline(const KernelSpec& spec, const std::string& name, VkPipelineLayout layout);
    Result<std::unique_ptr<Kernel>> build(const KernelSpec& spec);
    const Kernel* find(const Key& key);
};

void KernelCache::State::load() {
    std::vector<std::byte> bytes;
    if (!file.empty()) {
        auto read = read_pipeline_file(file, device.caps());
        if (read)
            bytes = std::move(*read);
        else if (read.error().code != ErrorCode::not_found)
            spdlog::warn("{}; the kernels are compiled again", read.error().message);
    }
    VkPipelineCacheCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO;
    info.initialDataSize = bytes.size();
    info.pInitialData = bytes.data();
    VkResult result = vkCreatePipelineCache(device.handle(), &info, nullptr, &cache);
    loaded = result == VK_SUCCESS && !bytes.empty();
    on_disk = std::move(bytes);
    if (result != VK_SUCCESS) {
        spdlog::warn("the driver accepts no pipeline cache ({}); kernels are compiled at every start", name_of(result));
        cache = nullptr;
    }
    device.set_name(cache, VK_OBJECT_TYPE_PIPELINE_CACHE, "kernels");
}

Result<void> KernelCache::State::save() {
    size_t built = 0;
    {
        const std::lock_guard lock(mutex);
        built = n_built;
        if (built == n_saved) return {};
    }
    if (file.empty() || !cache) return {};
    size_t size = 0;
    ATLAS_TRY_VOID(check(vkGetPipelineCacheData(device.handle(), cache, &size, nullptr), "reading the pipeline cache"));
    std::vector<std::byte> bytes(size);
    ATLAS_TRY_VOID(
        check(vkGetPipelineCacheData(device.handle(), cache, &size, bytes.data()), "reading the pipeline cache"));
    bytes.resize(size);
    // Kernels that came from the cache do not change it.
    if (bytes != on_disk) ATLAS_TRY_VOID(write_pipeline_file(file, device.caps(), bytes));
    on_disk = std::move(bytes);
    const std::lock_guard lock(mutex);
    n_saved = built;
    return {};
}

/// Under the lock.
Result<Layout> KernelCache::State::layout(uint32_t n_bindings) {
    Layout& made = layouts[n_bindings];
    if (made.pipeline) return made;
    std::array<VkDescriptorSetLayoutBinding, kMaxBindings> bindings{};
    for (uint32_t i = 0; i < n_bindings; ++i) {
        bindings[i].binding = i;
        bindings[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
        bindings[i].descriptorCount = 1;
        bindings[i].stageFlags = VK_SHADER_STAGE_COMPUTE_BIT;
    }
    if (!made.set) {
        VkDescriptorSetLayoutCreateInfo set{};
        set.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
        set.bindingCount = n_bindings;
        set.pBindings = bindings.data();
        ATLAS_TRY_VOID(check(vkCreateDescriptorSetLayout(device.handle(), &set, nullptr, &made.set),
                             "making a descriptor layout"));
    }
    const VkPushConstantRange push{VK_SHADER_STAGE_COMPUTE_BIT, 0, kMaxPushBytes};
    VkPipelineLayoutCreateInfo pipeline{};
    pipeline.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
    pipeline.setLayoutCount = 1;
    pipeline.pSetLayouts = &made.set;
    pipeline.pushConstantRangeCount = 1;
    pipeline.pPushConstantRanges = &push;
    ATLAS_TRY_VOID(
        check(vkCreatePipelineLayout(device.handle(), &pipeline, nullptr, &made.pipeline), "making a pipeline layout"));
    const std::string name = fmt::format("{} storage buffers", n_bindings);
    device.set_name(made.set, VK_OBJECT_TYPE_DESCRIPTOR_SET_LAYOUT, name);
    device.set_name(made.pipeline, VK_OBJECT_TYPE_PIPELINE_LAYOUT, name);
    return made;
}

Result<VkPipeline> KernelCache::State::pipeline(const KernelSpec& spec, const std::string& name,
                                                VkPipelineLayout layout_handle) {
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup{};
    subgroup.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO;
    if (spec.required_subgroup_size != 0) {
        const auto request = subgroup_size_to_request(device.caps(), spec.required_subgroup_size);
        if (!request) return fail_in(name, request.error());
        subgroup.requiredSubgroupSize = *request;
    }
    VkShaderModuleCreateInfo module_info{};
    module_info.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
    module_info.codeSize = spec.spirv.size_bytes();
    module_info.pCode = spec.spirv.data();
    VkShaderModule module = VK_NULL_HANDLE;
    ATLAS_TRY_VOID(check(vkCreateShaderModule(device.handle(), &module_info, nullptr, &module), name));
    device.set_name(module, VK_OBJECT_TYPE_SHADER_MODULE, spec.name);

    std::vector<VkSpecializationMapEntry> entries;
    for (uint32_t id = 0; id < spec.spec_constants.size(); ++id) entries.push_back({id, id * 4, 4});
    const VkSpecializationInfo constants{uint32_t(entries.size()), entries.data(), entries.size() * 4,
                                         spec.spec_constants.data()};
    VkComputePipelineCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
    info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
    info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
    info.stage.module = module;
    info.stage.pName = "main";
    info.stage.pSpecializationInfo = &constants;
    if (spec.required_subgroup_size != 0) {
        if (subgroup.requiredSubgroupSize != 0) info.stage.pNext = &subgroup;
        info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
    }
    if (device.options().capture_statistics && device.caps().pipeline_executable_properties) {
        info.flags =
            VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR | VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
    }
    info.layout = layout_handle;
    VkPipeline handle = VK_NULL_HANDLE;
    const VkResult result = vkCreateComputePipelines(device.handle(), cache, 1, &info, nullptr, &handle);
    vkDestroyShaderModule(device.handle(), module, nullptr);
    ATLAS_TRY_VOID(check(result, fmt::format("compiling kernel {}", name)));
    device.set_name(handle, VK_OBJECT_TYPE_PIPELINE, name);
    return handle;
}

Result<std::unique_ptr<Kernel>> KernelCache::State::build(const KernelSpec& spec) {
    const std::string name = full_name(spec);
    ATLAS_CHECK(!spec.spirv.empty(), "{}: no SPIR-V", name);
    ATLAS_CHECK(spec.n_bindings >= 1 && spec.n_bindings <= kMaxBindings, "{}: {} bindings", name, spec.n_bindings);
    ATLAS_CHECK(spec.push_bytes <= kMaxPushBytes && spec.push_bytes % 4 == 0, "{}: {} bytes of push constants", name,
                spec.push_bytes);
    auto kernel = std::make_unique<Kernel>();
    {
        const std::lock_guard lock(mutex);
        ATLAS_TRY(const Layout made, layout(spec.n_bindings));
        kernel->set_layout_ = made.set;
        kernel->layout_ = made.pipeline;
    }
    ATLAS_TRY(kernel->pipeline_, pipeline(spec, name, kernel->layout_));
    kernel->name_ = name;
    kernel->n_bindings_ = spec.n_bindings;
    kernel->push_bytes_ = spec.push_bytes;
    return kernel;
}

const Kernel* KernelCache::State::find(const Key& key) {
    const std::lock_guard lock(mutex);
    const auto found = kernels.find(key);
    return found == kernels.end() ? nullptr : found->second.get();
}

KernelCache::KernelCache(Device& device, std::filesystem::path cache_file)
    : state_(new State{
          .device = device, .file = std::move(cache_file), .mutex = {}, .kernels = {}, .layouts = {}, .on_disk = {}}) {
    state_->load();
}

KernelCache::~KernelCache() {
    State& s = *state_;
    if (auto saved = save(); !saved) spdlog::warn("{}", saved.error().message);
    for (const auto& [key, kernel] : s.kernels) vkDestroyPipeline(s.device.handle(), kernel->pipeline(), nullptr);
    for (const Layout& layout : s.layouts) {
        vkDestroyPipelineLayout(s.device.handle(), layout.pipeline, nullptr);
        vkDestroyDescriptorSetLayout(s.device.handle(), layout.set, nullptr);
    }
    vkDestroyPipelineCache(s.device.handle(), s.cache, nullptr);
}

Result<const Kernel*> KernelCache::get(const KernelSpec& spec) {
    State& s = *state_;
    const Key key = key_of(spec);
    if (const Kernel* found = s.find(key)) {
        ATLAS_CHECK_EQ(found->push_bytes(), spec.push_bytes);
        return found;
    }
    // Compiled without the lock: several threads do so at once. If two threads made the same kernel, the first one
    // stays.
    ATLAS_TRY(auto built, s.build(spec));
    const std::lock_guard lock(s.mutex);
    const auto [place, added] = s.kernels.try_emplace(key);
    if (added) {
        place->second = std::move(built);
        ++s.n_built;
    } else {
        vkDestroyPipeline(s.device.handle(), built->pipeline(), nullptr);
    }
    return place->second.get();
}

Result<void> KernelCache::build_all(std::span<const KernelSpec> specs, const Progress& progress) {
    std::map<Key, const KernelSpec*> missing;
    for (const KernelSpec& spec : specs) {
        if (!state_->find(key_of(spec))) missing.emplace(key_of(spec), &spec);
    }
    std::vector<const KernelSpec*> work;
    for (const auto& [key, spec] : missing) work.push_back(spec);
    std::vector<Result<void>> results(work.size());
    if (work.empty()) return {};
    std::atomic<size_t> next = 0, n_done = 0;
    if (progress) progress(0, work.size());
    const auto n_threads =
        static_cast<uint32_t>(std::min<size_t>(work.size(), std::max(1u, std::thread::hardware_concurrency())));
    on_threads(n_threads, [&] {
        for (size_t i = next++; i < work.size(); i = next++) {
            if (state_->device.stop_requested()) {
                results[i] = fail(ErrorCode::cancelled, "stopped while kernels were compiled");
                return;
            }
            if (auto kernel = get(*work[i]); !kernel) results[i] = tl::unexpected(std::move(kernel).error());
            const size_t done = ++n_done;
            if (progress) progress(done, work.size());
        }
    });
    for (auto& result : results) ATLAS_TRY_VOID(std::move(result));
    return {};
}

size_t KernelCache::n_built() const {
    const std::lock_guard lock(state_->mutex);
    return state_->n_built;
}

bool KernelCache::loaded() const { return state_->loaded; }
Result<void> KernelCache::save() { return state_->save(); }

}  // namespace atlas::vk
