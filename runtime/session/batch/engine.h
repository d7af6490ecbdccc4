#pragma once
// Serves many requests on one model: their prompts and answers share steps. Requests join and leave at any step.

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "runtime/session/sampler.h"
#include "runtime/session/speculation/batch_speculation.h"
#include "runtime/session/step/steps_ahead.h"

namespace atlas {

enum class EngineFinish {
    end_token,  // one of the request's stop tokens was chosen; it is not part of the answer
    max_tokens,
    context_full,  // the longest timeline, or the whole pool, is full
    cancelled,
    failed,  // see EngineResult::error
};

struct EngineRequest {
    std::vector<TokenId> prompt;  // at least one
    SamplerOptions sampler;
    uint32_t max_tokens = 0;  // limit for the answer; 0: until an end token or a full context
    std::vector<TokenId> end_tokens;
    std::stop_token stop;  // may be requested from any thread
    /// Called with every token of the answer, in order.
    std::function<void(TokenId)> on_token;
    /// Proposes at most `most` draft tokens after these, to be verified in one step. The answer is the same with and
    /// without.
    std::function<std::vector<TokenId>(std::span<const TokenId> tokens, uint32_t most)> propose;
};

using RequestId = uint64_t;

struct EngineResult {
    RequestId id = 0;
    EngineFinish finish = EngineFinish::end_token;
    std::optional<Error> error;
    std::vector<TokenId> answer;
    uint32_t prompt_tokens = 0;
    uint32_t reused_tokens = 0;  // of the prompt: found in the cache when the request was first admitted
    uint32_t n_preempted = 0;    // how often it was preempted and lost its pages
    uint32_t proposed_tokens = 0;
    uint32_t accepted_tokens = 0;
};

/// Call it from one thread at a time; callbacks may not call it. A step takes one token (and its draft tokens) of
/// every request in decode, and fills the rest of the token budget with prefill chunks of other requests. No request
/// waits for ever: places and pages go to the oldest first, admitted prompts share the budget, and when pages run out
/// the youngest request is preempted: it frees its pages and later starts over with the tokens that it had.
class Engine {
  public:
    /// `speculation`: proposes draft tokens for requests without a propose() of their own, in steps of pure decode,
    /// while a step has at most kBatchInvariantWidth tokens and max_outputs leaves room for them; null: none.
    /// Fails: as StepRunner::create; invalid_argument (fewer outputs than timelines, or no token left for prompts).
    static Result<std::unique_ptr<Engine>> create(std::shared_ptr<const Model> model, const SessionShape& shape,
                                                  std::unique_ptr<BatchSpeculation> speculation = nullptr);
    /// Takes an existing runner. Fails: invalid_argument, as above.
    static Result<std::unique_ptr<Engine>> create(std::unique_ptr<StepRunner> runner,
                                                  std::unique_ptr<BatchSpeculation> speculation = nullptr);

    /// Fails: invalid_argument (empty prompt, an id outside the vocabulary, sampler options), limit (the prompt is
    /// longer than a timeline).
    Result<RequestId> submit(EngineRequest request);
    /// Ends the request and frees its pages at once. Does nothing if it has ended.
    void cancel(RequestId id);

    bool is_idle() const { return requests_.empty(); }
    /// Runs one step of some requests; the oldest is always among them. Fails: device_lost and the like; then all
    /// requests have ended as failed.
    Result<void> step();
    /// The requests that ended since the last call, in the order in which they ended.
    std::vector<EngineResult> take_finished();

    /// Shrinks the cache by `bytes`, in whole pages, or as far as pages are free of readers, and returns that memory
    /// to the device. The draft model's cache shrinks first, because that costs speed only. Every request continues,
    /// and the longest one has room for kLeastRoomTokens more. Requests that would become longer than the cache end
    /// as context_full. Call it between steps only. Returns the bytes freed. Fails: as StepRunner::shrink.
    Result<uint64_t> shrink(uint64_t bytes);
    static constexpr uint32_t kLeastRoomTokens = 256;

    StepRunner& runner() { return *runner_; }
    size_t n_waiting() const { return requests_.size() - n_admitted(); }  // without a place in the steps
    size_t n_admitted() const;
    uint64_t n_preemptions() const { return n_preemptions_; }

  private:
    struct Running {
        RequestId id = 0;
        EngineRequest request;
        Sampler sampler;
        Timeline timeline;
        std::vector<TokenId> tokens;       // prompt and answer
        std::vector<TokenId> step_tokens;  // of the current step, draft tokens at the end
        uint32_t n_proposed = 0;
        Proposal draft_tokens;              // of the engine's speculation, for the current step
        std::vector<ChoiceParams> choices;  // of the current step, where the device chooses
        uint64_t n_draws = 0;               // random numbers drawn by the device
        bool is_admitted = false;           // has a place in the steps
        bool waits = false;                 // an older request computes what this one would compute next
        bool has_ended = false;
        EngineResult result;

        uint32_t n_to_run() const { return static_cast<uint32_t>(tokens.size() - timeline.tokens().size()); }
        bool answers() const { return is_admitted && n_to_run() == 1 && !result.answer.empty(); }
    };
    /// Budget that is left in a step.
    struct Budget {
        uint32_t prompt_tokens = 0;
        uint32_t prompts = 0;  // that share the budget
        uint32_t proposals = 0;
    };

    Engine(std::unique_ptr<StepRunner> runner, std::unique_ptr<BatchSpeculation> speculation)
        : runner_(std::move(runner)),
          speculation_(std::move(speculation)),
          ahead_(std::make_unique<StepsAhead>(*runner_)) {}
    void end(Running& running, EngineFinish finish, std::optional<Error> error = {});
    void drop_ended();
    void admit();
    uint32_t pages_promised() const;
    Budget budget() const;
    Result<void> schedule(Running& running, Budget& budget);
    void find_prefixes();
    void share_last_page(size_t i);
    Result<void> propose_drafts(const Budget& budget);
    std::vector<TokenId> proposal_for(Running& running, uint32_t most);
    void propose(Running& running, Budget& budget);
    Result<void> run_timed(const Budget& budget);
    Result<bool> reserve(Running& running);
    void preempt(Running& running);
    Result<void> run_scheduled();
    void fill_choices(Running& running, uint32_t n_outputs);
    Result<TokenId> choose(Running& running, size_t item, uint32_t row);
    Result<void> take_tokens(Running& running, size_t item);
    bool push_token(Running& running, TokenId token);
    Result<void> fail_all(const Error& error);
    BatchSpeculation::Ask ask_for(const Running& running) const;
    uint32_t draft_room(size_t n_answering) const;

    // engine_ahead.cpp
    bool only_answers() const;
    Result<bool> start_ahead();
    Result<bool> stays_ahead();
    Result<void> step_ahead();
    void leave_ahead(const Running& running);

    std::unique_ptr<StepRunner> runner_;
    std::unique_ptr<BatchSpeculation> speculation_;   // or null
    std::vector<std::unique_ptr<Running>> requests_;  // oldest first
    std::vector<EngineResult> finished_;
    std::unique_ptr<StepsAhead> ahead_;     // destroyed before the timelines
    std::vector<Running*> ahead_requests_;  // of its sequences; null: ended
    std::vector<Running*> scheduled_;
    std::vector<StepItem> items_;
    RequestId next_id_ = 1;
    uint32_t n_taken_ = 0;  // tokens that the last step produced
    uint64_t n_preemptions_ = 0;
};

}  // namespace atlas
