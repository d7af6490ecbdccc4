// Several tokens in one step: for scoring text, and for verifying draft tokens.
#include <algorithm>

#include "runtime/session/single/session.h"

namespace atlas {

using namespace sampling;

static_assert(kDraftStepsAtBytes == kBatchInvariantWidth * kParamWords * sizeof(uint32_t));
static_assert(kVerifyResultBytes == kBatchInvariantWidth * kResultWords * sizeof(uint32_t));

Result<void> Session::extend(std::span<const TokenId> tokens, uint32_t n_outputs) {
    ATLAS_CHECK(tokens.size() <= shape_.n_batch && n_outputs <= std::min<size_t>(tokens.size(), shape_.max_outputs),
                "{} tokens and {} outputs in a step of {} and {}", tokens.size(), n_outputs, shape_.n_batch,
                shape_.max_outputs);
    ATLAS_TRY_VOID(check_tokens(tokens, static_cast<uint32_t>(tokens_.size())));
    ATLAS_TRY_VOID(run_step(tokens, n_outputs));
    if (n_outputs > 0) keep_logits(n_outputs);
    return {};
}

std::span<const float> Session::logits_rows() const {
    (void)logits();
    return std::span(logits_).first(uint64_t{n_logit_rows_} * model_->config().n_vocab);
}

// Steps are recorded for a bucket of context, and how attention splits its keys may depend on it: a step that reaches
// into the next bucket could round its first tokens differently.
uint32_t Session::batch_invariant_width() const {
    const auto n_past = static_cast<uint32_t>(tokens_.size());
    if (n_past >= plan_.n_ctx) return 0;
    return std::min({kBatchInvariantWidth, shape_.max_outputs, kv_bucket(n_past + 1) - n_past});
}

Session::StepKey Session::verify_key(uint32_t n_tokens, bool choose) const {
    StepKey key{n_tokens, n_tokens, kv_bucket(static_cast<uint32_t>(tokens_.size()) + n_tokens)};
    key.choose_rows = choose;
    return key;
}

void Session::record_row_choices(const StepKey& key, Ops& ops) const {
    SampleTables tables;
    tables.params = {verify_params_.get(), 0, key.n_outputs * kParamWords};
    tables.results = {verify_results_.get(), 0, key.n_outputs * kResultWords};
    ops.label("sample");
    ops.sample(dense(*output_storage_, Format::f32, key.n_outputs, model_->config().n_vocab), tables);
}

bool Session::has_verify(uint32_t n_tokens, bool choose) const {
    const StepKey key = verify_key(n_tokens, choose);
    return std::any_of(recorded_.begin(), recorded_.end(), [&](const RecordedStep& step) { return step.key == key; });
}

Result<bool> Session::prepare_verify(uint32_t n_tokens, bool choose) {
    ATLAS_CHECK(n_tokens >= 1 && n_tokens <= batch_invariant_width(), "a verify of {} tokens, at most {} here",
                n_tokens, batch_invariant_width());
    const bool known = has_verify(n_tokens, choose);
    ATLAS_TRY_VOID(program_for(verify_key(n_tokens, choose)));
    return !known;
}

Result<void> Session::verify(std::span<const TokenId> tokens, const Sampler& sampler, std::span<TokenId> choices) {
    ATLAS_TRY_VOID(verify_behind({}, tokens, static_cast<uint32_t>(tokens.size()), sampler));
    return take_verified(tokens, choices);
}

Result<void> Session::verify_behind(std::span<Program* const> before, std::span<const TokenId> known, uint32_t n_tokens,
                                    const Sampler& sampler) {
    const SamplerOptions& options = sampler.options();
    ATLAS_CHECK(!chain_.active && can_choose(options) && !has_penalties(options),
                "verify() while choosing, or with such options");
    ATLAS_CHECK(n_tokens <= batch_invariant_width() &&
                    (known.size() == n_tokens || (known.size() < n_tokens && !before.empty())),
                "{} tokens, {} of them known, at most {} here", n_tokens, known.size(), batch_invariant_width());
    ATLAS_TRY_VOID(check_tokens(known, static_cast<uint32_t>(tokens_.size())));
    ATLAS_TRY(Program * program, program_for(verify_key(n_tokens, true)));

    Backend& backend = model_->backend();
    std::array<uint32_t, kBatchInvariantWidth * kParamWords> words;
    for (uint32_t row = 0; row < n_tokens; ++row) {
        const auto params = sample_params(options, sampler.n_draws() + row, false, false);
        std::copy(params.begin(), params.end(), words.begin() + row * kParamWords);
    }
    backend.write(*verify_params_, 0, std::as_bytes(std::span(words).first(n_tokens * kParamWords)));
    extend_pages(static_cast<uint32_t>(tokens_.size()) + n_tokens);
    write_step(known, n_tokens, n_tokens);
    has_logits_ = false;
    if (before.empty()) return backend.run(*program);
    std::vector<Program*> programs(before.begin(), before.end());
    programs.push_back(program);
    ATLAS_TRY(const uint64_t ticket, backend.submit_all(programs));
    return backend.wait(ticket);
}

Result<void> Session::take_verified(std::span<const TokenId> tokens, std::span<TokenId> choices) {
    const auto n_tokens = static_cast<uint32_t>(tokens.size());
    ATLAS_CHECK_EQ(choices.size(), tokens.size());
    ATLAS_TRY_VOID(check_tokens(tokens, static_cast<uint32_t>(tokens_.size())));
    std::array<uint32_t, kBatchInvariantWidth * kResultWords> results;
    model_->backend().read(*verify_results_, 0,
                           std::as_writable_bytes(std::span(results).first(n_tokens * kResultWords)));
    for (uint32_t row = 0; row < n_tokens; ++row) {
        const uint32_t* result = results.data() + row * kResultWords;
        if (result[kResultStatus] != kChosen) {
            return tl::unexpected(damaged_logits(result[kResultStatus], result[kResultId], result[kResultRank],
                                                 model_->config().n_vocab));
        }
        choices[row] = result[kResultId];
    }
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    keep_logits(n_tokens);
    return {};
}

}  // namespace atlas
