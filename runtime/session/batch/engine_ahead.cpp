// While every request answers and the device chooses all tokens, steps are submitted before the host has read the
// tokens of the ones before.
#include <algorithm>
#include <chrono>

#include "runtime/session/batch/engine.h"

namespace atlas {

// Not while a request could join: it would wait for one more step.
bool Engine::only_answers() const {
    const size_t n = n_admitted();
    return n > 0 && (n == requests_.size() || n == runner_->shape().max_timelines);
}

// Preempting is left to the other steps.
Result<bool> Engine::start_ahead() {
    if (!only_answers()) return false;
    uint32_t pages = 0;
    for (const auto& running : requests_) {
        if (!running->is_admitted) continue;
        if (!running->answers() || running->request.propose || !runner_->can_choose(running->request.sampler) ||
            !running->draft_tokens.tokens.empty() || running->tokens.size() > runner_->shape().n_ctx)
            return false;
        pages += running->timeline.pages_needed(1);
    }
    if (pages > runner_->pool().n_available()) return false;
    std::vector<StepsAhead::Sequence> sequences;
    ahead_requests_.clear();
    for (const auto& running : requests_) {
        if (!running->is_admitted) continue;
        ATLAS_TRY(const bool reserved, running->timeline.reserve(1));
        ATLAS_CHECK(reserved, "no page left of {}", runner_->pool().n_available());
        sequences.push_back({&running->timeline, std::span<const TokenId>(running->tokens).last(1),
                             sample_params(running->request.sampler, 0, false, false), running->n_draws});
        ahead_requests_.push_back(running.get());
    }
    ATLAS_TRY_VOID(ahead_->start(sequences));
    return true;
}

// Whether the token after the one that is being chosen is wanted by everyone, and without draft tokens.
Result<bool> Engine::stays_ahead() {
    if (!only_answers()) return false;
    for (const Running* running : ahead_requests_) {
        if (running == nullptr) return false;
        const EngineRequest& request = running->request;
        if (request.max_tokens > 0 && running->result.answer.size() + 1 >= request.max_tokens) return false;
    }
    if (!speculation_) return true;
    std::vector<BatchSpeculation::Ask> asks;
    for (const Running* running : ahead_requests_) asks.push_back(ask_for(*running));
    ATLAS_TRY(const bool drafts, speculation_->would_propose(asks, draft_room(asks.size())));
    return !drafts;
}

Result<void> Engine::step_ahead() {
    const uint64_t n_recorded = runner_->counts().recordings;
    const auto start = std::chrono::steady_clock::now();
    ATLAS_TRY(const bool go_on, stays_ahead());
    ATLAS_TRY_VOID(ahead_->next(go_on));
    n_taken_ = 0;
    const auto n_sequences = static_cast<uint32_t>(ahead_requests_.size());
    for (size_t i = 0; i < ahead_requests_.size(); ++i) {
        Running* running = ahead_requests_[i];
        if (running == nullptr) continue;
        const auto choice = ahead_->choice(i);
        if (!choice) {
            end(*running, EngineFinish::failed, choice.error());
            continue;
        }
        ++running->n_draws;
        ++n_taken_;
        push_token(*running, choice->token);
    }
    if (!ahead_->is_running()) {
        ahead_->stop();
        ahead_requests_.clear();
    }
    if (!speculation_ || n_taken_ < n_sequences || runner_->counts().recordings > n_recorded) return {};
    const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    speculation_->step_took(n_sequences, n_sequences, n_taken_, ms);
    return {};
}

// A step that is running may still write to the end of its timeline; whatever reads or writes that page next is
// submitted after it.
void Engine::leave_ahead(const Running& running) {
    for (size_t i = 0; i < ahead_requests_.size(); ++i) {
        if (ahead_requests_[i] != &running) continue;
        ahead_requests_[i] = nullptr;
        ahead_->drop(i);
    }
}

}  // namespace atlas
