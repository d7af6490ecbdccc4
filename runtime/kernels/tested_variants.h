#pragma once
// Which kernel variants may be used on this device: each is tested once, before its first use, and the verdict is kept in a file.

#include <functional>
#include <set>
#include <span>

#include "runtime/kernels/kernel_choices_file.h"
#include "runtime/kernels/self_test.h"
#include "runtime/kernels/self_test_attention.h"

namespace atlas {

class TestedVariants {
  public:
    struct Options {
        std::filesystem::path file;  // of kernel_choices_file.h; empty: verdicts last as long as this object
        ChoicesOwner owner;
        /// Tests of the test: damages the weights that a variant is given.
        std::function<void(const MatmulUse& use, std::span<std::byte> weights)> sabotage = {};
    };
    explicit TestedVariants(Options options) : options_(std::move(options)) {}

    /// Takes over what the file knows: verdicts and tuned preferences. A file of another device, driver or build, or a damaged one, is ignored with
    /// a warning.
    void load(KernelChoices& choices);

    /// Tests those of `used` that were not tested yet. A variant that is wrong, or that the driver refuses to compile, is reported (device, driver,
    /// variant, format) and added to choices.rejected. Returns whether anything was tested: then choices may have changed.
    /// Fails: device_lost, out_of_memory.
    Result<bool> test_new(Backend& backend, KernelChoices& choices, std::span<const MatmulUse> used, std::span<const AttentionUse> attention);

  private:
    /// error: of the test, as a share of what rounding explains.
    Result<bool> judge(const std::string& key, const Result<double>& error) const;
    void save(const KernelChoices& choices) const;

    Options options_;
    std::set<std::string, std::less<>> tested_;
};

}  // namespace atlas
