#pragma once
// A Backend on one Vulkan device.

#include <array>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/kernels/select/matmul_variant.h"
#include "runtime/ops/backend.h"

namespace atlas::vk {
struct DeviceCaps;
struct LabelTime;
struct UseStatistics;
struct ValidationMessage;
}  // namespace atlas::vk

namespace atlas {

struct DispatchPlan;

struct VkBackendOptions {
    std::string device;       // "" = the best, "1" = by index, else a part of the name or a UUID
    bool validation = false;  // validation layers with synchronisation checks; fails if they are not installed
    bool profile = false;     // programs keep device times per label
    std::filesystem::path pipeline_cache;        // folder; empty: none
    std::optional<uint64_t> memory_limit_bytes;  // use no more than this of the device's memory
    std::optional<double> submission_limit_ms;   // estimated cost at which work is cut
    std::optional<uint64_t> max_binding_bytes;   // tests: pretend that a binding ends here
    std::optional<uint32_t> max_groups;  // tests: pretend that a dispatch takes no more workgroups per dimension
    std::optional<std::array<double, 2>> rates;  // tests: { GFLOP/s, GB/s } that costs are estimated with
    bool tune_for_gpu = false;            // tests: choose kernels as for a graphics card, also on a software device
    std::string forced_matmul;            // tests and benchmarks: KernelChoices::forced
    std::optional<Layout> weight_layout;  // tests: forces this layout where the format has it
    bool fused = true;                    // false: fused operations run as their default bodies
    bool self_test = false;               // kernel variants are tested before their first use; wrong ones are not used
    std::filesystem::path
        choices_folder;  // keeps the verdicts, and what was tuned, in a file per device; empty: nothing is kept
    /// Asked between kernels that are compiled or tested and between the submissions of a program; true: record() and
    /// run() fail with `cancelled`. Thread: any. Empty: never.
    std::function<bool()> stop_requested;
    /// Of compiling and testing kernels, which takes long at the first start on a device. A total of 0: it is over.
    /// Thread: any.
    std::function<void(size_t done, size_t total)> kernel_progress;
    std::function<void(const MatmulUse&, std::span<std::byte> weights)>
        sabotage;  // tests: damages what a self-test gives a variant
};

class VkBackend final : public Backend {
  public:
    struct State;
    explicit VkBackend(std::unique_ptr<State> state);
    ~VkBackend() override;

    std::string describe() const override;
    MemoryBudget budget() const override;
    uint64_t max_storage_bytes() const override;
    bool can_read(Format weight_format) const override;
    Layout weight_layout(Format weight_format, uint32_t cols) const override;
    uint32_t cache_layout() const override {
        return 1;
    }  // shaders/common/cache_layout.glsl; to be raised when that changes
    void expect(MemoryUse use, std::span<const uint64_t> storages_bytes) override;
    uint64_t overhead_bytes() const override;
    Result<std::unique_ptr<Storage>> allocate(MemoryUse use, uint64_t bytes, std::string_view name) override;
    Result<void> shrink(std::unique_ptr<Storage>& storage, uint64_t bytes) override;
    Result<void> upload(Storage& to, uint64_t offset_bytes, std::span<const std::byte> bytes) override;
    Result<void> finish_uploads() override;
    Result<void> reserve_scratch(uint64_t bytes) override;
    uint64_t scratch_bytes() const override;
    /// The pass is run once to plan its dispatches; its pipelines are then built on several threads, and the plan is
    /// recorded. Fails as well: limit (a row or a layer's cache larger than a binding), unsupported, out_of_memory,
    /// cancelled.
    Result<std::unique_ptr<Program>> record(std::string_view name, const std::function<void(Ops&)>& pass) override;
    Result<void> run(Program& program) override;
    Result<uint64_t> submit(Program& program) override;
    Result<uint64_t> submit_all(std::span<Program* const> programs) override;
    Result<void> wait(uint64_t ticket) override;
    void write(Storage& to, uint64_t offset_bytes, std::span<const std::byte> bytes) override;
    void read(const Storage& from, uint64_t offset_bytes, std::span<std::byte> bytes) override;

    const vk::DeviceCaps& caps() const;
    /// What kernels are chosen by: caps(), or with tune_for_gpu those of a made-up card.
    const vk::DeviceCaps& kernel_caps() const;
    /// What the self-test and tuning found on this device. Programs recorded from now on choose kernels by it.
    KernelChoices& choices();
    const KernelChoices& choices() const;
    /// A device without hardware: correct, and slow.
    bool is_software() const;
    /// Device time by label of the program's last run. Requires VkBackendOptions::profile. Fails: unsupported.
    Result<std::vector<vk::LabelTime>> label_times(const Program& program) const;
    /// How many dispatches and submissions a program has.
    struct ProgramSize {
        size_t dispatches = 0;
        size_t submissions = 0;
    };
    ProgramSize size_of(const Program& program) const;
    /// Memory by MemoryUse, then the backend's own constants (use kMemoryUses) and staging.
    std::vector<vk::UseStatistics> memory_statistics() const;
    /// Messages of the validation layers since the last call.
    std::vector<vk::ValidationMessage> take_validation_messages();

  private:
    Result<DispatchPlan> plan(std::string_view name, const std::function<void(Ops&)>& pass);
    std::unique_ptr<State> state_;
};

/// Fails: no_device (with a reason per device), unsupported, out_of_memory.
Result<std::unique_ptr<VkBackend>> make_vk_backend(const VkBackendOptions& options);

}  // namespace atlas
