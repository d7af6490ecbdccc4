#include "bench/plan_backend.h"

#include <algorithm>
#include <cstring>

namespace atlas::bench {

namespace {

std::unique_ptr<Storage> size_alone(std::string_view name, uint64_t bytes) {
    return std::make_unique<VkStorage>(nullptr, std::string(name), vk::BufferRange{.bytes = bytes});
}

class NoProgram final : public Program {};

}  // namespace

PlanBackend::PlanBackend(const vk::DeviceCaps& caps) {
    context_.caps = caps;
    context_.quirks = vk::quirks_for(caps);
    context_.max_binding_bytes = caps.max_storage_buffer_range;
    context_.max_groups = caps.max_workgroup_count;
    constants_ = size_alone("constants", ConstantPool::kCapacityBytes);
    context_.constants = constants_.get();
    context_.pool = &pool_;
}

Result<std::unique_ptr<Storage>> PlanBackend::allocate(MemoryUse, uint64_t bytes, std::string_view name) {
    return size_alone(name, bytes);
}

Result<void> PlanBackend::upload(Storage&, uint64_t, std::span<const std::byte>) { return {}; }

Result<void> PlanBackend::reserve_scratch(uint64_t bytes) {
    if (scratch_ && scratch_->bytes() >= bytes) return {};
    scratch_ = size_alone("scratch", std::max<uint64_t>(bytes, 1));
    context_.scratch = scratch_.get();
    return {};
}

Result<std::unique_ptr<Program>> PlanBackend::record(std::string_view name, const std::function<void(Ops&)>& pass) {
    DispatchPlan plan;
    VkOps ops(context_, plan);
    pass(ops);
    if (plan.error) return fail_in(name, *plan.error);
    for (vk::KernelSpec& spec : plan.kernels) {
        const bool known = std::any_of(kernels_.begin(), kernels_.end(), [&](const vk::KernelSpec& k) {
            return k.spirv.data() == spec.spirv.data() && k.spec_constants == spec.spec_constants &&
                   k.required_subgroup_size == spec.required_subgroup_size;
        });
        if (!known) kernels_.push_back(std::move(spec));
    }
    return std::make_unique<NoProgram>();
}

void PlanBackend::read(const Storage&, uint64_t, std::span<std::byte> bytes) {
    std::memset(bytes.data(), 0, bytes.size());
}

}  // namespace atlas::bench
