// Verify steps.
#include <algorithm>

#include "runtime/session/single/session.h"

namespace atlas {

// Steps are recorded for a bucket of context, and how attention splits its keys may depend on it: a step that reaches
// into the next bucket could round its first tokens differently.
uint32_t Session::batch_invariant_width() const {
    const auto n_past = static_cast<uint32_t>(tokens().size());
    if (n_past >= n_ctx()) return 0;
    return std::min(runner_->most_verified(), runner_->kv_bucket(n_past + 1) - n_past);
}

StepKey Session::verify_key(uint32_t n_tokens, bool choose) const {
    return runner_->key_for(n_tokens, n_tokens, static_cast<uint32_t>(tokens().size()) + n_tokens, choose);
}

bool Session::has_verify(uint32_t n_tokens, bool choose) const {
    return runner_->has_program(verify_key(n_tokens, choose));
}

Result<bool> Session::prepare_verify(uint32_t n_tokens, bool choose) {
    ATLAS_CHECK(n_tokens >= 1 && n_tokens <= batch_invariant_width(), "a verify of {} tokens, at most {} here",
                n_tokens, batch_invariant_width());
    return runner_->prepare(verify_key(n_tokens, choose));
}

Result<void> Session::verify(std::span<const TokenId> tokens, const Sampler& sampler, std::span<TokenId> choices) {
    ATLAS_TRY_VOID(verify_drafted({}, tokens, static_cast<uint32_t>(tokens.size()), sampler));
    return take_verified(tokens, choices);
}

Result<void> Session::verify_drafted(std::span<Program* const> before, std::span<const TokenId> known,
                                     uint32_t n_tokens, const Sampler& sampler) {
    const SamplerOptions& options = sampler.options();
    ATLAS_CHECK(!ahead_->is_active() && can_choose(options) && !has_penalties(options),
                "verify() while choosing, or with such options");
    ATLAS_CHECK(n_tokens <= batch_invariant_width() &&
                    (known.size() == n_tokens || (known.size() < n_tokens && !before.empty())),
                "{} tokens, {} of them known, at most {} here", n_tokens, known.size(), batch_invariant_width());
    const auto n_past = static_cast<uint32_t>(tokens().size());
    ATLAS_TRY_VOID(check_tokens(known, n_past));
    params_.clear();
    for (uint32_t row = 0; row < n_tokens; ++row)
        params_.push_back(sample_params(options, sampler.n_draws() + row, false, false));
    const auto n_drafted = n_tokens - static_cast<uint32_t>(known.size());
    ATLAS_TRY_VOID(run_step({timeline_.get(), known, n_tokens, params_, n_drafted}, n_tokens, before));
    return {};
}

Result<void> Session::take_verified(std::span<const TokenId> tokens, std::span<TokenId> choices) {
    ATLAS_CHECK_EQ(choices.size(), tokens.size());
    for (uint32_t row = 0; row < tokens.size(); ++row) {
        ATLAS_TRY(choices[row], runner_->chosen(0, row));
    }
    if (has_logits_) return {};
    timeline_->append(tokens);
    has_logits_ = true;
    return {};
}

}  // namespace atlas
