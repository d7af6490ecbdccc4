#include "runtime/session/step/steps_ahead.h"

#include <algorithm>

namespace atlas {

using namespace sampling;

StepsAhead::StepsAhead(StepRunner& runner) : runner_(runner) {
    const uint32_t most = runner.shape().max_timelines;
    sequences_.reserve(most);
    items_.reserve(most);
    params_.reserve(most);
    results_.reserve(most);
}

bool StepsAhead::can_choose(const StepRunner& runner, const SamplerOptions& options) {
    SamplerOptions without = options;
    without.penalty_window = 0;
    return runner.can_choose(without) && (!has_penalties(options) || options.penalty_window <= kMaxHistory);
}

Result<void> StepsAhead::start(Timeline& timeline, const Sampler& sampler, uint32_t n_rows, bool logprobs) {
    const SamplerOptions& options = sampler.options();
    ATLAS_CHECK(!is_active_ && n_rows > 0 && can_choose(runner_, options),
                "start() twice, without logits, or with such options");
    sequences_.assign(1, {&timeline, sample_params(options, 0, true, logprobs), sampler.n_draws()});
    n_history_ = has_penalties(options) ? options.penalty_window : 0;
    if (n_history_ > 0) {
        std::vector<uint32_t> history = {0, 0};
        const auto seen = sampler.history();
        history.insert(history.end(), seen.begin(), seen.end());
        history[0] = static_cast<uint32_t>(seen.size());
        history[1] = history[0] % n_history_;
        runner_.tables_.write_history(history);
    }
    StepKey key;
    key.n_outputs = n_rows;
    key.chooses = true;
    key.place = StepPlace::ahead_a;
    has_stepped_ = false;
    ATLAS_TRY_VOID(submit(key));
    is_active_ = true;
    return {};
}

Result<void> StepsAhead::start(std::span<const Sequence> sequences) {
    ATLAS_CHECK(!is_active_ && !sequences.empty(), "start() twice, or with {} sequences", sequences.size());
    sequences_.clear();
    items_.clear();
    n_history_ = 0;
    has_stepped_ = false;
    uint32_t n_tokens = 0;
    for (const Sequence& sequence : sequences) {
        sequences_.push_back({sequence.timeline, sequence.params, sequence.n_draws});
        items_.push_back({sequence.timeline, sequence.tokens, 1});
        n_tokens += static_cast<uint32_t>(sequence.tokens.size());
    }
    ATLAS_TRY_VOID(runner_.check(items_));
    StepKey key = runner_.key_of(items_);
    key.n_outputs = static_cast<uint32_t>(sequences.size());
    if (n_tokens == key.n_outputs) key.n_tokens = n_tokens;
    key.chooses = true;
    ATLAS_TRY_VOID(submit(key));
    for (const Sequence& sequence : sequences) sequence.timeline->append(sequence.tokens);
    is_active_ = true;
    return {};
}

// A step has exactly as many rows as there are sequences, in their order: the next one reads the choices as its tokens.
Result<void> StepsAhead::submit(StepKey key) {
    key.feeds = true;
    key.n_history = n_history_;
    ATLAS_TRY(Program * program, runner_.program_for(key));
    ATLAS_TRY_VOID(runner_.pool_->finish_copies());
    if (key.n_tokens > 0) {
        runner_.tables_.write(items_, key);
        runner_.count(items_, key);
    }
    params_.clear();
    for (Chosen& sequence : sequences_) {
        sequence.params[kParamDraw] = static_cast<uint32_t>(sequence.draw);
        sequence.params[kParamDraw + 1] = static_cast<uint32_t>(sequence.draw >> 32);
        ++sequence.draw;
        params_.push_back(sequence.params);
    }
    runner_.tables_.write_choices(key, params_);
    ATLAS_TRY(ticket_, runner_.model().backend().submit(*program));
    place_ = key.place;
    is_pending_ = true;
    return {};
}

Result<bool> StepsAhead::reserve() {
    const uint32_t n_ctx = runner_.shape().n_ctx;
    for (const Chosen& sequence : sequences_) {
        if (sequence.timeline == nullptr || sequence.timeline->tokens().size() >= n_ctx) return false;
        ATLAS_TRY(const bool reserved, sequence.timeline->reserve(1));
        if (!reserved) return false;
    }
    return true;
}

Result<void> StepsAhead::submit_step() {
    items_.clear();
    size_t n_keys = 0;
    for (const Chosen& sequence : sequences_) {
        items_.push_back({sequence.timeline, {}, 1, {}, 1});
        n_keys = std::max(n_keys, sequence.timeline->tokens().size() + 1);
    }
    StepKey key;
    key.n_tokens = key.n_outputs = static_cast<uint32_t>(items_.size());
    key.max_kv_tokens = runner_.kv_bucket(static_cast<uint32_t>(n_keys));
    key.chooses = key.continues = true;
    // the step that is running may still read its own place
    key.place = place_ == StepPlace::ahead_a ? StepPlace::ahead_b : StepPlace::ahead_a;
    return submit(key);
}

Result<void> StepsAhead::next(bool go_on) {
    ATLAS_CHECK(is_active_ && is_pending_, "next() with no choice running");
    const uint64_t ticket = ticket_;
    const StepPlace place = place_;
    has_stepped_ = false;
    bool ahead = false;
    if (go_on) {
        ATLAS_TRY(ahead, reserve());
    }
    if (ahead) ATLAS_TRY_VOID(submit_step());
    ATLAS_TRY_VOID(runner_.model().backend().wait(ticket));
    results_.resize(sequences_.size());
    runner_.tables_.read_results(place, 0, results_);
    for (size_t i = 0; ahead && i < sequences_.size(); ++i) {
        if (const auto chosen = choice(i))
            sequences_[i].timeline->append({&chosen->token, 1});
        else
            drop(i);
    }
    has_stepped_ = ahead;
    is_pending_ = ahead;
    return {};
}

Result<Choice> StepsAhead::choice(size_t i) const { return runner_.tables_.choice_of(results_.at(i)); }

Result<void> StepsAhead::wait() { return is_pending_ ? runner_.model().backend().wait(ticket_) : Result<void>{}; }

void StepsAhead::stop() {
    if (!is_active_) return;
    // The result is not wanted, so neither is its error; a lost device reports itself again at its next use.
    (void)wait();
    for (const Chosen& sequence : sequences_) {
        if (!has_stepped_ || sequence.timeline == nullptr) continue;
        sequence.timeline->rewind(static_cast<uint32_t>(sequence.timeline->tokens().size()) - 1);
    }
    is_active_ = is_pending_ = has_stepped_ = false;
}

}  // namespace atlas
