// Verify steps, and draft tokens for the verify steps of another session.
#include <algorithm>

#include "runtime/session/single/session.h"

namespace atlas {

// Steps are recorded for a bucket of context, and how attention splits its keys may depend on it: a step that reaches
// into the next bucket could round its first tokens differently.
uint32_t Session::batch_invariant_width() const {
    const auto n_past = static_cast<uint32_t>(tokens().size());
    if (n_past >= n_ctx()) return 0;
    return std::min({kBatchInvariantWidth, shape_.max_outputs, runner_->kv_bucket(n_past + 1) - n_past});
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

Result<void> Session::queue_drafts(std::span<const TokenId> tokens, uint32_t n, uint32_t n_known_ids,
                                   const DraftPlace& place, QueuedDrafts& queued) {
    ATLAS_CHECK(!ahead_->is_active(), "drafting while choosing");
    ATLAS_CHECK(tokens.size() + n <= n_ctx(), "{} draft tokens after {} tokens of {}", n, tokens.size(), n_ctx());
    ATLAS_TRY_VOID(check_tokens(tokens, 0));
    const auto& there = timeline_->tokens();
    const auto differ = std::mismatch(tokens.begin(), tokens.end(), there.begin(), there.end());
    const auto same = static_cast<uint32_t>(differ.first - tokens.begin());
    const bool ready = has_logits_ && n_logit_rows_ == 1 && same == tokens.size() && same == there.size();
    uint32_t reused = ready ? same : std::min(same, static_cast<uint32_t>(tokens.size()) - 1);
    reused = rewind(reused);
    auto rest = tokens.subspan(reused);
    if (rest.size() > std::min(kBatchInvariantWidth, shape_.n_batch)) {
        ATLAS_TRY_VOID(sync(tokens));
        rest = {};
    }
    const auto n_more = static_cast<uint32_t>(rest.size()) + n - 1;
    ATLAS_TRY(const bool reserved, timeline_->reserve(n_more, n));
    ATLAS_CHECK(reserved, "no page left for {} draft tokens after {} of {}", n, tokens.size(), n_ctx());
    has_logits_ = false;
    return runner_->queue_drafts(*timeline_, rest, n, n_known_ids, place, queued);
}

Result<void> Session::take_drafts(std::span<const TokenId> tokens, std::span<Choice> draft_tokens) {
    ATLAS_TRY_VOID(runner_->read_drafts(draft_tokens));
    timeline_->append(tokens.subspan(timeline_->tokens().size()));
    for (size_t i = 0; i + 1 < draft_tokens.size(); ++i) timeline_->append({&draft_tokens[i].token, 1});
    return {};
}

}  // namespace atlas
