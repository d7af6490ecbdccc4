#include "runtime/kernels/tested_variants.h"

#include <chrono>

#include <spdlog/spdlog.h>

namespace atlas {

void TestedVariants::load(KernelChoices& choices) {
    if (options_.file.empty()) return;
    auto stored = read_choices(options_.file, options_.owner);
    if (!stored) {
        if (stored.error().code != ErrorCode::not_found) {
            spdlog::warn("{}; kernels are tested again, and tuned ones are forgotten (atlas-vk tune)", stored.error().message);
        }
        return;
    }
    choices.preferred = std::move(stored->choices.preferred);
    choices.rejected = std::move(stored->choices.rejected);
    tested_ = std::move(stored->tested);
}

Result<bool> TestedVariants::test_new(Backend& backend, KernelChoices& choices, std::span<const MatmulUse> used,
                                      std::span<const AttentionUse> attention) {
    const auto start = std::chrono::steady_clock::now();
    size_t n_tested = 0;
    const auto keep = [&](const std::string& key, const Result<double>& error) -> Result<void> {
        ++n_tested;
        ATLAS_TRY(const bool right, judge(key, error));
        if (!right) choices.rejected.insert(key);
        return {};
    };
    for (const MatmulUse& use : used) {
        if (!tested_.insert(rejection_key(use)).second) continue;
        const auto damage = [&](std::span<std::byte> weights) {
            if (options_.sabotage) options_.sabotage(use, weights);
        };
        choices.only = use.variant;
        const bool gated = use.variant.family == KernelFamily::matvec_gated;
        const auto error = gated ? gated_error(backend, self_test_shape(use), damage) : matmul_error(backend, self_test_shape(use), use.variant.x, damage);
        choices.only.reset();
        ATLAS_TRY_VOID(keep(rejection_key(use), error));
    }
    for (const AttentionUse& use : attention) {
        if (!tested_.insert(rejection_key(use)).second) continue;
        choices.only_attention = &use.variant;
        const auto error = attention_error(backend, self_test_shape(use));
        choices.only_attention = nullptr;
        ATLAS_TRY_VOID(keep(rejection_key(use), error));
    }
    if (n_tested == 0) return false;
    save(choices);
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
    spdlog::debug("{} kernel variants tested against the CPU in {:.0f} ms, their compilation included", n_tested, taken.count());
    return true;
}

Result<bool> TestedVariants::judge(const std::string& key, const Result<double>& error) const {
    if (error && *error <= 1) return true;
    if (error) {
        spdlog::warn("{} gives wrong numbers on {} with driver {} (off by {:.3g} times what rounding explains): another kernel is used; please report it",
                     key, options_.owner.device, options_.owner.driver, *error);
        return false;
    }
    if (error.error().code == ErrorCode::device_lost || error.error().code == ErrorCode::out_of_memory) return tl::unexpected(error.error());
    spdlog::warn("{} cannot be used on {}: {}", key, options_.owner.device, error.error().message);
    return false;
}

void TestedVariants::save(const KernelChoices& choices) const {
    if (options_.file.empty()) return;
    const auto written = write_choices(options_.file, options_.owner, {choices, tested_});
    if (!written) spdlog::warn("{}; kernels will be tested again at the next start", written.error().message);
}

}  // namespace atlas
