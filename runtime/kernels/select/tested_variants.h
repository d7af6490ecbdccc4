#pragma once
// Which kernel variants may be used on this device: each is tested once, before its first use, and the verdict is kept
// in a file.

#include <functional>
#include <set>
#include <span>
#include <vector>

#include "runtime/base/crash_note.h"
#include "runtime/kernels/select/kernel_choices_file.h"
#include "runtime/kernels/self_test/self_test.h"
#include "runtime/kernels/self_test/self_test_attention.h"

namespace atlas {

class TestedVariants {
  public:
    struct Options {
        std::filesystem::path file;  // of kernel_choices_file.h; empty: verdicts last as long as this object
        ChoicesOwner owner;
        /// For tests of the self-test: damages the weights that a variant gets.
        std::function<void(const MatmulUse& use, std::span<std::byte> weights)> sabotage = {};
        std::function<bool()> stop_requested = {};                     // asked before each test
        std::function<void(size_t done, size_t total)> progress = {};  // called before each test
    };
    explicit TestedVariants(Options options) : options_(std::move(options)) {}

    /// Reads verdicts and tuned preferences from the file. A file of another device, driver or build, or a damaged one,
    /// is ignored with a warning. A variant whose test ended an earlier process is tested once more, because the user
    /// may have killed that process; one whose test ended two is avoided from now on, and tested again only if no other
    /// variant is left. A test that a signal ended soon after its beginning does not count (take_back_crash_notes).
    void load(KernelChoices& choices);

    /// Tests those of `used` that were not tested yet. A variant that is wrong, or that the driver refuses to compile,
    /// is added to choices.rejected. Returns whether anything was tested: then choices may have changed. Before a test
    /// begins, a note of it is on the disk (CrashNote).
    /// Fails: device_lost (the variant is avoided at the next start), out_of_memory, cancelled.
    Result<bool> test_new(Backend& backend, KernelChoices& choices, std::span<const MatmulUse> used,
                          std::span<const AttentionUse> attention);

    /// Call it once nothing is left to test. If one of `used` was rejected and has no alternative, variants whose tests
    /// did not finish get another chance: returns true, and choices have changed. Otherwise reports the replaced
    /// variants (device, driver, variant, format).
    /// Fails: unsupported, if no variant is left: one error instead of the reports.
    Result<bool> conclude(KernelChoices& choices, std::span<const MatmulUse> used,
                          std::span<const AttentionUse> attention);

  private:
    using Keys = std::set<std::string, std::less<>>;
    void count_ended_tests(KernelChoices& choices);
    size_t count_new(std::span<const MatmulUse> used, std::span<const AttentionUse> attention) const;
    /// error: of the test, as a share of what rounding explains.
    Result<void> judge(KernelChoices& choices, const std::string& key, const Result<double>& error);
    Result<void> test(KernelChoices& choices, const std::string& key, const std::function<Result<double>()>& error_of);
    std::string note_beginning() const { return options_.owner.driver + "\n" + options_.owner.build + "\n"; }
    void save(const KernelChoices& choices) const;

    Options options_;
    Keys tested_;
    Keys unfinished_;  // in choices.rejected too; not in tested_
    Keys ended_once_;  // not in tested_; to be tested once more
    std::vector<std::string> reports_;
};

}  // namespace atlas
