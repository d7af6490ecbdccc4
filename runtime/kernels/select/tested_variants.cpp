#include "runtime/kernels/select/tested_variants.h"

#include <spdlog/spdlog.h>

#include <algorithm>
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
        ended_once_ = std::move(stored->ended_once);
    } else if (stored.error().code != ErrorCode::not_found) {
        spdlog::warn("{}; kernels are tested again, and the results of atlas-vk tune are dropped",
                     stored.error().message);
    }
    choices.rejected.insert(unfinished_.begin(), unfinished_.end());
    count_ended_tests(choices);
}

void TestedVariants::count_ended_tests(KernelChoices& choices) {
    bool changed = false;
    for (const std::string& note : take_crash_notes(options_.file)) {
        if (!note.starts_with(note_beginning())) continue;  // of another driver or build
        const std::string key = note.substr(note_beginning().size());
        changed = true;
        tested_.erase(key);
        if (!unfinished_.contains(key) && ended_once_.insert(key).second) {
            spdlog::warn("an earlier run ended while it tested kernel {} on {}: it is tested once more", key,
                         options_.owner.device);
            continue;
        }
        spdlog::warn(
            "two runs ended while they tested kernel {} on {}: it seems to hang or to crash the driver. Another "
            "kernel is used; to test it again, remove {}",
            key, options_.owner.device, options_.file.string());
        ended_once_.erase(key);
        unfinished_.insert(key);
        choices.rejected.insert(key);
    }
    if (changed) save(choices);
}

size_t TestedVariants::count_new(std::span<const MatmulUse> used, std::span<const AttentionUse> attention) const {
    Keys keys;
    for (const MatmulUse& use : used) keys.insert(rejection_key(use));
    for (const AttentionUse& use : attention) keys.insert(rejection_key(use));
    return static_cast<size_t>(
        std::count_if(keys.begin(), keys.end(), [this](const std::string& key) { return !tested_.contains(key); }));
}

Result<bool> TestedVariants::test_new(Backend& backend, KernelChoices& choices, std::span<const MatmulUse> used,
                                      std::span<const AttentionUse> attention) {
    const auto start = std::chrono::steady_clock::now();
    size_t n_tested = 0;
    const size_t n_new = count_new(used, attention);
    const auto begin = [&](const std::string& key) -> Result<bool> {
        if (tested_.contains(key)) return false;
        if (options_.stop_requested && options_.stop_requested()) {
            save(choices);
            return fail(ErrorCode::cancelled, "stopped while kernels were tested");
        }
        tested_.insert(key);
        if (options_.progress) options_.progress(n_tested, n_new);
        ++n_tested;
        return true;
    };
    for (const MatmulUse& use : used) {
        ATLAS_TRY(const bool is_new, begin(rejection_key(use)));
        if (!is_new) continue;
        const auto damage = [&](std::span<std::byte> weights) {
            if (options_.sabotage) options_.sabotage(use, weights);
        };
        const bool gated = use.variant.family == KernelFamily::matvec_gated;
        const auto form = experts_form(use.variant);
        choices.only = form ? with_tested_activation(use.variant) : use.variant;
        const auto done = test(choices, rejection_key(use), [&] {
            if (form) return experts_error(backend, self_test_shape(use), form->gated, damage);
            return gated ? gated_error(backend, self_test_shape(use), damage)
                         : matmul_error(backend, self_test_shape(use), use.variant.x, damage);
        });
        choices.only.reset();
        ATLAS_TRY_VOID(done);
    }
    for (const AttentionUse& use : attention) {
        ATLAS_TRY(const bool is_new, begin(rejection_key(use)));
        if (!is_new) continue;
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
        ended_once_.erase(key);
        unfinished_.erase(key);
        choices.rejected.erase(key);
        if (*error <= 1) return {};
        reports_.push_back(
            fmt::format("{} computes wrong numbers on {} with driver {} (off by {:.3g} times what "
                        "rounding explains)",
                        key, options_.owner.device, options_.owner.driver, *error));
    } else if (error.error().code == ErrorCode::out_of_memory || error.error().code == ErrorCode::cancelled) {
        tested_.erase(key);
        if (error.error().code == ErrorCode::cancelled) save(choices);
        return tl::unexpected(error.error());
    } else if (error.error().code == ErrorCode::device_lost) {
        tested_.erase(key);
        unfinished_.insert(key);
        choices.rejected.insert(key);
        save(choices);
        return fail(ErrorCode::device_lost, "the self-test of kernel {}: {}. {}", key, error.error().message,
                    options_.file.empty() ? "" : "At the next start another kernel is used");
    } else {
        ended_once_.erase(key);
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
    StoredChoices stored{choices, tested_, unfinished_, ended_once_};
    for (const std::string& key : unfinished_) stored.choices.rejected.erase(key);
    const auto written = write_choices(options_.file, options_.owner, stored);
    if (!written) spdlog::warn("{}; kernels will be tested again at the next start", written.error().message);
}

}  // namespace atlas
