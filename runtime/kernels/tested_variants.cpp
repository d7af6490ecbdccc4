#include "runtime/kernels/tested_variants.h"

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

Result<bool> TestedVariants::test_new(Backend& backend, KernelChoices& choices, std::span<const MatmulUse> used) {
    bool any = false;
    for (const MatmulUse& use : used) {
        const std::string key = rejection_key(use);
        if (!tested_.insert(key).second) continue;
        any = true;
        ATLAS_TRY(const bool right, is_right(backend, choices, use));
        if (!right) choices.rejected.insert(key);
    }
    if (any) save(choices);
    return any;
}

Result<bool> TestedVariants::is_right(Backend& backend, KernelChoices& choices, const MatmulUse& use) {
    choices.only = use.variant;
    const auto damage = [&](std::span<std::byte> weights) {
        if (options_.sabotage) options_.sabotage(use, weights);
    };
    const auto error = matmul_error(backend, self_test_shape(use), use.variant.x, damage);
    choices.only.reset();
    if (error && *error <= 1) return true;
    if (error) {
        spdlog::warn("{} gives wrong numbers on {} with driver {} (off by {:.3g} times what rounding explains): another kernel is used; please report it",
                     rejection_key(use), options_.owner.device, options_.owner.driver, *error);
        return false;
    }
    if (error.error().code == ErrorCode::device_lost || error.error().code == ErrorCode::out_of_memory) return tl::unexpected(error.error());
    spdlog::warn("{} cannot be used on {}: {}", rejection_key(use), options_.owner.device, error.error().message);
    return false;
}

void TestedVariants::save(const KernelChoices& choices) const {
    if (options_.file.empty()) return;
    const auto written = write_choices(options_.file, options_.owner, {choices, tested_});
    if (!written) spdlog::warn("{}; kernels will be tested again at the next start", written.error().message);
}

}  // namespace atlas
