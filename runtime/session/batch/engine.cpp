#include "runtime/session/batch/engine.h"

#include <algorithm>
#include <chrono>

namespace atlas {

namespace {

Result<void> check_shape(const SessionShape& shape) {
    if (shape.max_outputs < shape.max_timelines) {
        return fail(ErrorCode::invalid_argument, "{} outputs per step for {} timelines: expected at least as many",
                    shape.max_outputs, shape.max_timelines);
    }
    if (shape.n_batch <= shape.max_timelines) {
        return fail(ErrorCode::invalid_argument, "{} tokens per step for {} timelines: expected more", shape.n_batch,
                    shape.max_timelines);
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(std::shared_ptr<const Model> model, const SessionShape& shape,
                                               std::unique_ptr<BatchSpeculation> speculation) {
    ATLAS_TRY_VOID(check_shape(shape));
    ATLAS_TRY(auto runner, StepRunner::create(std::move(model), shape));
    return create(std::move(runner), std::move(speculation));
}

Result<std::unique_ptr<Engine>> Engine::create(std::unique_ptr<StepRunner> runner,
                                               std::unique_ptr<BatchSpeculation> speculation) {
    ATLAS_TRY_VOID(check_shape(runner->shape()));
    return std::unique_ptr<Engine>(new Engine(std::move(runner), std::move(speculation)));
}

Result<RequestId> Engine::submit(EngineRequest request) {
    const uint32_t n_ctx = runner_->shape().n_ctx, n_vocab = runner_->model().config().n_vocab;
    if (request.prompt.empty()) return fail(ErrorCode::invalid_argument, "no tokens: at least one is needed");
    if (request.prompt.size() > n_ctx)
        return fail(ErrorCode::limit, "a prompt of {} tokens does not fit: a timeline holds {}", request.prompt.size(),
                    n_ctx);
    for (const TokenId token : request.prompt) {
        if (token >= n_vocab)
            return fail(ErrorCode::invalid_argument, "token {}: expected an id below {} (the vocabulary)", token,
                        n_vocab);
    }
    ATLAS_TRY(Sampler sampler, Sampler::create(request.sampler));
    for (const TokenId token : request.prompt) sampler.accept(token);
    auto tokens = request.prompt;
    EngineResult result;
    result.id = next_id_++;
    result.prompt_tokens = static_cast<uint32_t>(tokens.size());
    requests_.push_back(std::unique_ptr<Running>(new Running{.id = result.id,
                                                             .request = std::move(request),
                                                             .sampler = std::move(sampler),
                                                             .timeline = Timeline(runner_->pool()),
                                                             .tokens = std::move(tokens),
                                                             .step_tokens = {},
                                                             .draft_tokens = {},
                                                             .choices = {},
                                                             .result = std::move(result)}));
    return requests_.back()->id;
}

void Engine::cancel(RequestId id) {
    for (const auto& running : requests_) {
        if (running->id == id) end(*running, EngineFinish::cancelled);
    }
    drop_ended();
}

size_t Engine::n_admitted() const {
    return static_cast<size_t>(
        std::count_if(requests_.begin(), requests_.end(), [](const auto& r) { return r->is_admitted; }));
}

std::vector<EngineResult> Engine::take_finished() { return std::exchange(finished_, {}); }

void Engine::end(Running& running, EngineFinish finish, std::optional<Error> error) {
    if (running.has_ended) return;
    running.has_ended = true;
    running.is_admitted = false;
    leave_ahead(running);
    running.timeline.clear();
    if (speculation_) speculation_->end(running.id);
    running.result.finish = finish;
    running.result.error = std::move(error);
    finished_.push_back(std::move(running.result));
}

void Engine::drop_ended() {
    std::erase_if(requests_, [](const auto& running) { return running->has_ended; });
}

Result<void> Engine::fail_all(const Error& error) {
    ahead_->stop();
    ahead_requests_.clear();
    if (error.code == ErrorCode::cancelled) {  // stopped within a step: as between two
        for (const auto& running : requests_) end(*running, EngineFinish::cancelled);
        drop_ended();
        return {};
    }
    for (const auto& running : requests_) end(*running, EngineFinish::failed, error);
    drop_ended();
    return tl::unexpected(error);
}

Result<uint64_t> Engine::shrink(uint64_t bytes) {
    ATLAS_TRY_VOID(ahead_->wait());
    uint64_t of_draft = 0;
    if (speculation_) {
        ATLAS_TRY(of_draft, speculation_->shrink(bytes));
        if (of_draft >= bytes) return of_draft;
    }
    std::vector<Timeline*> timelines;
    size_t longest = 0;
    for (const auto& running : requests_) {
        timelines.push_back(&running->timeline);
        longest = std::max(longest, running->tokens.size());
    }
    const uint32_t in_use = runner_->pool().n_in_use() * kPageTokens;
    const auto least = std::max(in_use, static_cast<uint32_t>(longest)) + kLeastRoomTokens;
    ATLAS_TRY(const uint64_t given, runner_->shrink(bytes - of_draft, least, timelines));
    return of_draft + given;
}

// Pages that admitted requests will still take for the tokens they have to run, and one each for what comes next.
uint32_t Engine::pages_promised() const {
    uint32_t n = 0;
    for (const auto& running : requests_) {
        if (running->is_admitted) n += running->timeline.pages_needed(running->n_to_run()) + 1;
    }
    return n;
}

// By age: the first request that finds no room keeps all younger ones waiting, or it might wait for ever.
void Engine::admit() {
    size_t n = n_admitted();
    for (const auto& running : requests_) {
        if (running->is_admitted) continue;
        if (n == runner_->shape().max_timelines) return;
        const uint32_t promised = pages_promised();
        running->timeline.reuse(running->tokens);
        if (n > 0 && running->timeline.pages_needed(running->n_to_run()) + promised > runner_->pool().n_available()) {
            running->timeline.clear();
            return;
        }
        running->is_admitted = true;
        if (running->result.n_preempted == 0)
            running->result.reused_tokens = static_cast<uint32_t>(running->timeline.tokens().size());
        ++n;
    }
}

Engine::Budget Engine::budget() const {
    const SessionShape& shape = runner_->shape();
    uint32_t answering = 0, prompts = 0;
    bool proposes = false;
    for (const auto& running : requests_) {
        if (running->answers()) {
            ++answering;
            proposes = proposes || running->request.propose;
        } else if (running->is_admitted && !running->waits) {
            ++prompts;
        }
    }
    const uint32_t rest = shape.n_batch - answering;
    if (!proposes) return {rest, prompts, 0};
    // Draft tokens leave half of the room to prompts.
    const uint32_t rows = shape.max_outputs - answering - prompts;
    const uint32_t proposals = std::min(rows, prompts > 0 ? rest / 2 : rest);
    return {rest - (prompts > 0 ? proposals : 0), prompts, proposals};
}

Result<void> Engine::step() {
    for (const auto& running : requests_) {
        if (running->request.stop.stop_requested()) end(*running, EngineFinish::cancelled);
    }
    drop_ended();
    if (ahead_->is_active()) {
        if (auto done = step_ahead(); !done) return fail_all(done.error());
        drop_ended();
        return {};
    }
    if (requests_.empty()) return {};
    admit();
    find_prefixes();
    Budget left = budget();
    const Budget whole = left;
    if (auto done = propose_drafts(left); !done) return fail_all(done.error());
    const auto ahead = start_ahead();
    if (!ahead) return fail_all(ahead.error());
    if (*ahead) {
        if (auto done = step_ahead(); !done) return fail_all(done.error());
        drop_ended();
        return {};
    }
    scheduled_.clear();
    // Oldest first: a request that is preempted for another is younger, so not scheduled yet.
    for (const auto& running : requests_) {
        if (!running->is_admitted) continue;
        if (auto done = schedule(*running, left); !done) return fail_all(done.error());
    }
    if (auto done = run_timed(whole); !done) return fail_all(done.error());
    drop_ended();
    return {};
}

Result<void> Engine::schedule(Running& running, Budget& left) {
    const bool answers = running.answers();
    uint32_t n = 1;
    if (!answers) {
        if (running.waits) return {};
        const uint32_t share = std::max(1u, left.prompt_tokens / left.prompts--);
        n = std::min({share, running.n_to_run(), left.prompt_tokens});
        if (n == 0) return {};
        left.prompt_tokens -= n;
    }
    const auto first = running.tokens.begin() + ptrdiff_t(running.timeline.tokens().size());
    running.step_tokens.assign(first, first + n);
    running.n_proposed = 0;
    if (answers) propose(running, left);
    ATLAS_TRY(const bool reserved, reserve(running));
    if (reserved) scheduled_.push_back(&running);
    return {};
}

BatchSpeculation::Ask Engine::ask_for(const Running& running) const {
    size_t most = runner_->shape().n_ctx - std::min<size_t>(runner_->shape().n_ctx, running.tokens.size());
    if (running.request.max_tokens > 0)
        most = std::min(most, running.request.max_tokens - running.result.answer.size() - 1);
    return {running.id, running.tokens, static_cast<uint32_t>(most), {}};
}

// How many draft tokens fit into a step of n_answering answers.
uint32_t Engine::draft_room(size_t n_answering) const {
    const uint32_t widest = std::min(runner_->most_verified(), runner_->shape().n_batch);
    return n_answering < widest ? widest - static_cast<uint32_t>(n_answering) : 0;
}

// Drafts for all answers together, in steps without prefill only: prefill runs other kernels and takes long anyway.
Result<void> Engine::propose_drafts(const Budget& budget) {
    for (const auto& running : requests_) running->draft_tokens.clear();
    if (!speculation_ || budget.prompts > 0) return {};
    std::vector<BatchSpeculation::Ask> asks;
    std::vector<Running*> asking;
    for (const auto& running : requests_) {
        if (!running->answers()) continue;
        if (running->request.propose) return {};
        asks.push_back(ask_for(*running));
        asking.push_back(running.get());
    }
    const uint32_t room = draft_room(asks.size());
    if (room == 0) return {};
    ATLAS_TRY_VOID(speculation_->propose(asks, room));
    for (size_t i = 0; i < asks.size(); ++i) asking[i]->draft_tokens = std::move(asks[i].proposal);
    return {};
}

std::vector<TokenId> Engine::proposal_for(Running& running, uint32_t most) {
    if (!running.request.propose) return running.draft_tokens.tokens;
    auto proposal = running.request.propose(running.tokens, most);
    proposal.resize(std::min<size_t>(proposal.size(), most));
    return proposal;
}

void Engine::propose(Running& running, Budget& left) {
    const size_t n = running.tokens.size(), n_answer = running.result.answer.size();
    size_t most = running.request.propose ? left.proposals : running.draft_tokens.tokens.size();
    most = std::min<size_t>(most, runner_->shape().n_ctx - std::min<size_t>(runner_->shape().n_ctx, n));
    if (running.request.max_tokens > 0) most = std::min(most, running.request.max_tokens - n_answer - 1);
    if (most == 0) return;
    auto proposal = proposal_for(running, static_cast<uint32_t>(most));
    const uint32_t n_vocab = runner_->model().config().n_vocab;
    const auto bad =
        std::find_if(proposal.begin(), proposal.end(), [n_vocab](TokenId token) { return token >= n_vocab; });
    proposal.erase(bad, proposal.end());
    // Draft tokens are not worth preempting a request for its pages.
    if (running.timeline.pages_needed(static_cast<uint32_t>(1 + proposal.size())) > runner_->pool().n_available())
        return;
    running.n_proposed = static_cast<uint32_t>(proposal.size());
    left.proposals -= std::min(left.proposals, running.n_proposed);
    running.step_tokens.insert(running.step_tokens.end(), proposal.begin(), proposal.end());
}

Result<bool> Engine::reserve(Running& running) {
    const auto n = static_cast<uint32_t>(running.step_tokens.size());
    for (;;) {
        ATLAS_TRY(const bool reserved, running.timeline.reserve(n, 1 + running.n_proposed));
        if (reserved) return true;
        const auto youngest =
            std::find_if(requests_.rbegin(), requests_.rend(), [](const auto& r) { return r->is_admitted; });
        if (youngest->get() != &running) {
            preempt(**youngest);
            continue;
        }
        // This request is the youngest: it waits for the others, or, alone, ends because no pages can be freed.
        if (n_admitted() > 1)
            preempt(running);
        else
            end(running, EngineFinish::context_full);
        return false;
    }
}

void Engine::preempt(Running& running) {
    running.timeline.clear();
    running.is_admitted = false;
    ++running.result.n_preempted;
    ++n_preemptions_;
}

// Steps of pure decode show what a step of n columns costs; those that were recorded first show nothing.
Result<void> Engine::run_timed(const Budget& budget) {
    const uint64_t n_recorded = runner_->counts().recordings, n_run = runner_->counts().tokens;
    const auto n_sequences = static_cast<uint32_t>(scheduled_.size());
    const auto start = std::chrono::steady_clock::now();
    ATLAS_TRY_VOID(run_scheduled());
    if (!speculation_ || budget.prompts > 0 || n_sequences == 0 || runner_->counts().recordings > n_recorded) return {};
    const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    speculation_->step_took(n_sequences, static_cast<uint32_t>(runner_->counts().tokens - n_run), n_taken_, ms);
    return {};
}

Result<void> Engine::run_scheduled() {
    n_taken_ = 0;
    if (scheduled_.empty()) return {};
    items_.clear();
    for (Running* running : scheduled_) {
        const bool ends = running->n_to_run() + running->n_proposed == running->step_tokens.size();
        const uint32_t n_outputs = ends ? 1 + running->n_proposed : 0;
        fill_choices(*running, n_outputs);
        items_.push_back({&running->timeline, running->step_tokens, n_outputs, running->choices});
    }
    ATLAS_TRY_VOID(runner_->run(items_));
    for (size_t i = 0; i < items_.size(); ++i) {
        if (items_[i].n_outputs == 0) continue;
        // Damaged logits end one request, not all of them.
        if (auto taken = take_tokens(*scheduled_[i], i); !taken)
            end(*scheduled_[i], EngineFinish::failed, taken.error());
    }
    return {};
}

// The n-th token of a request is drawn with the n-th random number, by the host or the device.
void Engine::fill_choices(Running& running, uint32_t n_outputs) {
    running.choices.clear();
    if (!runner_->can_choose(running.request.sampler)) return;
    for (uint32_t r = 0; r < n_outputs; ++r)
        running.choices.push_back(sample_params(running.request.sampler, running.n_draws + r, false, false));
}

Result<TokenId> Engine::choose(Running& running, size_t item, uint32_t row) {
    if (running.choices.empty()) {
        const size_t n_vocab = runner_->model().config().n_vocab;
        return running.sampler.sample(runner_->logits(item).subspan(row * n_vocab, n_vocab));
    }
    ++running.n_draws;
    return runner_->chosen(item, row);
}

// Row r holds what follows the r-th draft token; it counts as long as the chosen tokens equal the draft tokens.
Result<void> Engine::take_tokens(Running& running, size_t item) {
    const auto proposal = std::span(running.step_tokens).last(running.n_proposed);
    running.result.proposed_tokens += running.n_proposed;
    uint32_t n_right = 0;
    for (uint32_t r = 0; r <= running.n_proposed; ++r) {
        ATLAS_TRY(const TokenId token, choose(running, item, r));
        ++n_taken_;
        if (r < running.n_proposed && proposal[r] == token) ++n_right;
        if (!push_token(running, token)) return {};
        if (n_right <= r) break;
        ++running.result.accepted_tokens;
    }
    running.draft_tokens.tokens.resize(std::min<size_t>(running.draft_tokens.tokens.size(), running.n_proposed));
    if (speculation_) speculation_->was_checked(running.draft_tokens, n_right);
    running.timeline.rewind(static_cast<uint32_t>(running.tokens.size()) - 1);
    return {};
}

// False: the answer has ended.
bool Engine::push_token(Running& running, TokenId token) {
    const EngineRequest& request = running.request;
    if (std::find(request.end_tokens.begin(), request.end_tokens.end(), token) != request.end_tokens.end()) {
        end(running, EngineFinish::end_token);
        return false;
    }
    running.sampler.accept(token);
    running.tokens.push_back(token);
    running.result.answer.push_back(token);
    if (request.on_token) request.on_token(token);
    if (request.max_tokens > 0 && running.result.answer.size() == request.max_tokens)
        end(running, EngineFinish::max_tokens);
    else if (running.tokens.size() > runner_->shape().n_ctx)
        end(running, EngineFinish::context_full);
    return !running.has_ended;
}

}  // namespace atlas
