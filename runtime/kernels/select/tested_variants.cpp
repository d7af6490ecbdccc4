#include "runtime/kernels/select/tested_variants.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <optional>
#include <utility>

namespace atlas {

void TestedVariants::load(KernelChoices& choices) {
    if (options_.file.empty()) return;
    if (auto stored = read_choices(options_.file, options_.owner)) {
        choices.preferred = std::move(stored->choices.preferred);
        choices.rejected = std::move(stored->choices.rejected);
        tested_ = std::move(stored->tested);
        unfinished_ = std::move(stored->unfinished);
    } else if (stored.error().code != ErrorCode::not_found) {
        spdlog::warn("{}; kernels are tested again, and the results of atlas-vk tune are dropped",
                     stored.error().message);
    }
    const size_t n_known = unfinished_.size();
    for (const std::string& note : take_crash_notes(options_.file)) {
        if (!note.starts_with(note_beginning())) continue;  // of another driver or build
        const std::string key = note.substr(note_beginning().size());
        spdlog::warn(
            "an earlier run ended while it tested kernel {} on {}: the kernel hung, or the program was "
            "killed. Another kernel is used; to "
            "test it again, remove {}",
            key, options_.owner.device, options_.file.string());
        tested_.erase(key);
        unfinished_.insert(key);
    }
    choices.rejected.insert(unfinished_.begin(), unfinished_.end());
    if (unfinished_.size() > n_known) save(choices);
}

Result<bool> TestedVariants::test_new(Backend& backend, KernelChoices& choices, std::span<const MatmulUse> used,
                                      std::span<const AttentionUse> attention) {
    const auto start = std::chrono::steady_clock::now();
    size_t n_tested = 0;
    for (const MatmulUse& use : used) {
        if (!tested_.insert(rejection_key(use)).second) continue;
        ++n_tested;
        const auto damage = [&](std::span<std::byte> weights) {
            if (options_.sabotage) options_.sabotage(use, weights);
        };
        choices.only = use.variant;
        const bool gated = use.variant.family == KernelFamily::matvec_gated;
        const auto done = test(choices, rejection_key(use), [&] {
            return gated ? gated_error(backend, self_test_shape(use), damage)
                         : matmul_error(backend, self_test_shape(use), use.variant.x, damage);
        });
        choices.only.reset();
        ATLAS_TRY_VOID(done);
    }
    for (const AttentionUse& use : attention) {
        if (!tested_.insert(rejection_key(use)).second) continue;
        ++n_tested;
        choices.only_attention = &use.variant;
        const auto done =
            test(choices, rejection_key(use), [&] { return attention_error(backend, self_test_shape(use)); });
        choices.only_attention = nullptr;
        ATLAS_TRY_VOID(done);
    }
    if (n_tested == 0) return false;
    save(choices);
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
    spdlog::debug("{} kernel variants tested against the CPU in {:.0f} ms, their compilation included", n_tested,
                  taken.count());
    return true;
}

Result<void> TestedVariants::test(KernelChoices& choices, const std::string& key,
                                  const std::function<Result<double>()>& error_of) {
    std::optional<CrashNote> note;
    if (!options_.file.empty()) {
        std::error_code ignored;  // CrashNote::leave reports the failure
        std::filesystem::create_directories(options_.file.parent_path(), ignored);
        auto left = CrashNote::leave(options_.file, note_beginning() + key);
        if (left)
            note.emplace(std::move(*left));
        else
            spdlog::debug("{}; the next start would not know of a test that hangs", left.error().message);
    }
    return judge(choices, key, error_of());
}

Result<void> TestedVariants::judge(KernelChoices& choices, const std::string& key, const Result<double>& error) {
    if (error) {
        unfinished_.erase(key);
        choices.rejected.erase(key);
        if (*error <= 1) return {};
        reports_.push_back(
            fmt::format("{} computes wrong numbers on {} with driver {} (off by {:.3g} times what "
                        "rounding explains)",
                        key, options_.owner.device, options_.owner.driver, *error));
    } else if (error.error().code == ErrorCode::out_of_memory) {
        tested_.erase(key);
        return tl::unexpected(error.error());
    } else if (error.error().code == ErrorCode::device_lost) {
        tested_.erase(key);
        unfinished_.insert(key);
        choices.rejected.insert(key);
        save(choices);
        return fail(ErrorCode::device_lost, "the self-test of kernel {}: {}. {}", key, error.error().message,
                    options_.file.empty() ? "" : "At the next start another kernel is used");
    } else {
        unfinished_.erase(key);
        reports_.push_back(
            fmt::format("{} cannot be used on {}: {}", key, options_.owner.device, error.error().message));
    }
    choices.rejected.insert(key);
    return {};
}

Result<bool> TestedVariants::conclude(KernelChoices& choices, std::span<const MatmulUse> used,
                                      std::span<const AttentionUse> attention) {
    std::optional<std::string> without;
    for (const MatmulUse& use : used) {
        if (choices.rejected.contains(rejection_key(use))) without = rejection_key(use);
    }
    for (const AttentionUse& use : attention) {
        if (choices.rejected.contains(rejection_key(use))) without = rejection_key(use);
    }
    if (without && !unfinished_.empty()) {
        for (const std::string& key : unfinished_) choices.rejected.erase(key);
        unfinished_.clear();
        return true;
    }
    const std::vector<std::string> reports = std::exchange(reports_, {});
    if (without) {
        const std::string kept =
            options_.file.empty()
                ? ""
                : fmt::format(" The verdicts are kept in {}: remove it to test again", options_.file.string());
        return fail(ErrorCode::unsupported,
                    "{} with driver {} computes wrong numbers: {} kernels failed their self-tests, and no other "
                    "kernel can replace {}{}. Update the "
                    "driver, and please report it.{}",
                    options_.owner.device, options_.owner.driver, choices.rejected.size(), *without,
                    reports.empty() ? "" : fmt::format(" ({})", reports.back()), kept);
    }
    for (const std::string& report : reports) spdlog::warn("{}: another kernel is used; please report it", report);
    return false;
}

void TestedVariants::save(const KernelChoices& choices) const {
    if (options_.file.empty()) return;
    StoredChoices stored{choices, tested_, unfinished_};
    for (const std::string& key : unfinished_) stored.choices.rejected.erase(key);
    const auto written = write_choices(options_.file, options_.owner, stored);
    if (!written) spdlog::warn("{}; kernels will be tested again at the next start", written.error().message);
}

}  // namespace atlas
