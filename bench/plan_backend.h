#pragma once
// A Backend that computes nothing and takes no memory: programs are planned for a device, and the kernels they would
// use are kept. It shows which pipelines a model needs on a device that cannot run anything, or is absent.

#include <string>
#include <vector>

#include "runtime/kernels/constant_pool.h"
#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/ops/backend.h"

namespace atlas::bench {

class PlanBackend final : public Backend {
  public:
    explicit PlanBackend(const vk::DeviceCaps& caps);

    /// Every kernel that some program so far would use, each once, in order of first use.
    const std::vector<vk::KernelSpec>& kernels() const { return kernels_; }
    /// What is known about the device; later programs choose kernels by it.
    KernelChoices& choices() { return context_.choices; }

    std::string describe() const override { return context_.caps.name; }
    MemoryBudget budget() const override { return {kNoLimitBytes, kNoLimitBytes}; }
    uint64_t max_storage_bytes() const override { return kNoLimitBytes; }
    bool can_read(Format) const override { return true; }
    Layout weight_layout(Format format, uint32_t cols) const override {
        return can_be_planar(format, cols) ? choose_layout(context_.caps, format) : Layout::blocks;
    }
    Result<std::unique_ptr<Storage>> allocate(MemoryUse use, uint64_t bytes, std::string_view name) override;
    Result<void> upload(Storage& to, uint64_t offset_bytes, std::span<const std::byte> bytes) override;
    Result<void> finish_uploads() override { return {}; }
    Result<void> reserve_scratch(uint64_t bytes) override;
    /// Plans. Fails: limit (as VkBackend would).
    Result<std::unique_ptr<Program>> record(std::string_view name, const std::function<void(Ops&)>& pass) override;
    Result<void> run(Program&) override { return {}; }
    void write(Storage&, uint64_t, std::span<const std::byte>) override {}
    void read(const Storage&, uint64_t, std::span<std::byte> bytes) override;

  private:
    static constexpr uint64_t kNoLimitBytes = uint64_t{1} << 50;

    VkOpsContext context_;
    ConstantPool pool_;
    std::unique_ptr<Storage> constants_;
    std::unique_ptr<Storage> scratch_;
    std::vector<vk::KernelSpec> kernels_;
};

}  // namespace atlas::bench
