#pragma once
// Compute pipelines: one per SPIR-V module and set of specialization constants.

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/vk/handles.h"

namespace atlas::vk {

class Device;

/// Bindings 0..n_bindings-1 of set 0 are storage buffers; push constants start at 0. The entry point is "main".
struct KernelSpec {
    std::span<const uint32_t> spirv =
        {};  // must outlive the cache (embedded modules do); its address is part of the key
    std::string_view name = {};
    std::vector<uint32_t> spec_constants = {};  // of ids 0..n-1; floats as their bits
    uint32_t n_bindings = 0;                    // 1..kMaxBindings
    uint32_t push_bytes = 0;                    // <= kMaxPushBytes, a multiple of 4
    uint32_t required_subgroup_size = 0;        // 0: the driver's choice; else full subgroups of this size
};

inline constexpr uint32_t kMaxBindings = 15;
inline constexpr uint32_t kMaxPushBytes = 128;

/// A compiled kernel. Belongs to its cache and lives as long.
class Kernel {
  public:
    const std::string& name() const { return name_; }  // with its constants: "matvec_q4_k(64, 4)"
    uint32_t n_bindings() const { return n_bindings_; }
    uint32_t push_bytes() const { return push_bytes_; }
    VkPipeline pipeline() const { return pipeline_; }
    VkPipelineLayout layout() const { return layout_; }
    VkDescriptorSetLayout set_layout() const { return set_layout_; }

  private:
    friend class KernelCache;
    std::string name_;
    uint32_t n_bindings_ = 0;
    uint32_t push_bytes_ = 0;
    VkPipeline pipeline_ = nullptr;
    VkPipelineLayout layout_ = nullptr;
    VkDescriptorSetLayout set_layout_ = nullptr;
};

class KernelCache {
  public:
    /// cache_file: the on-disk VkPipelineCache, or empty. A file of another device or driver, or a damaged one, is
    /// ignored with a warning.
    KernelCache(Device& device, std::filesystem::path cache_file);
    ~KernelCache();

    /// The kernel, built now if it is not there yet. Fails: unsupported (the device cannot run it), out_of_memory.
    /// Thread: any.
    Result<const Kernel*> get(const KernelSpec& spec);
    /// Builds what is missing on several threads; get() then only looks up. All are tried; returns the first failure.
    /// `progress`: called after each by the thread that built it, and before the first. Fails: as get; cancelled (see
    /// DeviceOptions), what was built until then stays.
    using Progress = std::function<void(size_t done, size_t total)>;
    Result<void> build_all(std::span<const KernelSpec> specs, const Progress& progress = {});

    size_t n_built() const;  // since the start
    bool loaded() const;     // the file existed and was accepted
    /// Writes the file (beside it, then renamed) if anything new was compiled since it was read. The destructor does so
    /// too, and ignores failures.
    Result<void> save();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// One figure that the driver's compiler reports of a pipeline: registers, spills, instructions.
struct KernelStatistic {
    std::string name;
    double value = 0;
};

/// What the driver's compiler says of a kernel; needs DeviceOptions::capture_statistics. Fails: unsupported.
Result<std::vector<KernelStatistic>> kernel_statistics(const Device& device, const Kernel& kernel);

/// The compiler's final text of a kernel, its assembly; empty if the driver reports none. Needs
/// DeviceOptions::capture_statistics.
/// Fails: unsupported.
Result<std::string> kernel_assembly(const Device& device, const Kernel& kernel);

}  // namespace atlas::vk
