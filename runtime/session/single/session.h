#pragma once
// One timeline of tokens on a loaded model.

#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "runtime/session/step/steps_ahead.h"

namespace atlas {

/// A runner with one timeline, and the logits of its last tokens. Not thread-safe; one thread at a time. The backend
/// and its scratch serve one running session at a time.
class Session {
  public:
    /// Allocates the KV cache, scratch, step and output storages; nothing is allocated later.
    /// Fails: invalid_argument (shape), out_of_memory (bytes needed, there, and what would fit), limit (as
    /// KvLayers::create).
    static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model, const SessionShape& shape);

    uint32_t n_ctx() const { return runner_->shape().n_ctx; }
    uint32_t n_ctx_at_first() const { return n_ctx_at_first_; }  // larger than n_ctx() once the cache has shrunk
    uint32_t n_batch() const { return shape_.n_batch; }          // most tokens per step
    uint32_t max_outputs() const { return shape_.max_outputs; }  // most logit rows per step
    const MemoryPlan& plan() const { return runner_->plan(); }
    const Model& model() const { return runner_->model(); }
    /// The tokens whose K and V are in the cache.
    const std::vector<TokenId>& tokens() const { return timeline_->tokens(); }

    struct SyncOptions {
        std::stop_token stop = {};
        // after every chunk; without the reused prefix
        std::function<void(uint32_t done_tokens, uint32_t total_tokens)> progress = {};
    };
    /// Makes the timeline equal to `tokens` (at least one): keeps the common prefix and runs the rest in chunks of at
    /// most n_batch. Then logits() are those of the last token. Returns how many tokens were reused.
    /// Fails: limit (longer than n_ctx), invalid_argument (empty; an id outside the vocabulary), cancelled (the
    /// timeline holds the chunks that were done), device_lost.
    Result<uint32_t> sync(std::span<const TokenId> tokens, const SyncOptions& options);
    Result<uint32_t> sync(std::span<const TokenId> tokens) { return sync(tokens, {}); }

    /// Appends one token. Allocates and records nothing once a step of this context bucket has run. Fails: as sync.
    Result<void> step(TokenId token);

    // Decoding where the device chooses: the chosen token goes straight into the next step, which is submitted before
    // the host has read which token it was. Call start_choosing, then next_choice any number of times, then
    // stop_choosing, with no other call in between.

    /// Whether the device can choose by these options; otherwise the host samples from logits(). The tokens are the
    /// same.
    bool can_choose(const SamplerOptions& options) const { return StepsAhead::can_choose(*runner_, options); }
    /// Starts to choose from the logits of the last token, with the state that `sampler` has now. Requires
    /// has_logits(), which is false afterwards, and can_choose().
    /// Fails: device_lost, out_of_memory.
    Result<void> start_choosing(const Sampler& sampler, bool logprobs = false);
    /// Returns the next token. With `go_on` and room in the context its step is already running, and the token is the
    /// last of tokens(); without, nothing is running, and there is no further choice. Allocates and records nothing
    /// once two steps of this context bucket have run.
    /// Fails: device_lost, corrupt (damaged logits). After a failure only stop_choosing may follow.
    Result<Choice> next_choice(bool go_on);
    /// Waits for the running step and drops its result: the token that was chosen last leaves the timeline again.
    void stop_choosing() { ahead_->stop(); }

    // Several tokens in one step (verify steps: session_extend.cpp).

    /// Appends tokens, at most n_batch; logits_rows() are then those of the last n_outputs of them, at most
    /// max_outputs; 0: none.
    /// Fails: as sync.
    Result<void> extend(std::span<const TokenId> tokens, uint32_t n_outputs);
    /// The rows of the last extend, verify or step: [n_outputs, n_vocab]. Valid until the next call. Requires
    /// has_logits().
    std::span<const float> logits_rows() const;

    /// How many tokens one step may hold at this position so that each gets, to the bit, what steps of one token
    /// give; 0: the context is full.
    uint32_t batch_invariant_width() const;
    /// Appends 1 .. batch_invariant_width() tokens in one step. The device chooses a token from every row: choices[i]
    /// is what `sampler` would choose from row i as its draw n_draws() + i; row i has the logits after tokens[i]. The
    /// sampler is not changed. Requires can_choose() of its options, which may hold no penalties (they would depend
    /// on what is accepted). Fails: as sync; corrupt (damaged logits).
    Result<void> verify(std::span<const TokenId> tokens, const Sampler& sampler, std::span<TokenId> choices);
    /// The first half of a verify step whose draft tokens the device has yet to choose. Of n_tokens the host knows
    /// the first ones, `known`; the programs `before` compute the rest and write them into draft_place(known.size()),
    /// in the same submission. Waits for its end; call take_verified next.
    Result<void> verify_drafted(std::span<Program* const> before, std::span<const TokenId> known, uint32_t n_tokens,
                                const Sampler& sampler);
    /// The second half: returns the choices as verify does. `tokens`: all tokens of the step, those that the device
    /// chose included; they join the timeline. Fails: as verify.
    Result<void> take_verified(std::span<const TokenId> tokens, std::span<TokenId> choices);
    /// The words that the next verify_drafted reads its tokens from, of which n_known are known.
    DraftPlace draft_place(uint32_t n_known) const { return runner_->draft_place(n_known); }
    /// Whether prepare_verify would have nothing to record.
    bool has_verify(uint32_t n_tokens, bool choose) const;
    /// Records what a verify step, or an extend with logits of all, of n tokens needs at this position; true if there
    /// was something to record.
    Result<bool> prepare_verify(uint32_t n_tokens, bool choose);

    // Shrinking, when other programs need memory.

    /// Shrinks the cache by `bytes`, in whole pages of every layer, or as far as it can while the timeline (with the
    /// tokens of a running sync) and kLeastRoomTokens more fit, and returns that memory to the device. n_ctx() is
    /// smaller from then on; everything else stays, to the bit. Each storage exists twice while it moves, one at a
    /// time. May be called between any two calls, also while choosing and from a sync's progress.
    /// Returns the bytes freed. Fails: out_of_memory (no room even for one smaller storage), device_lost; n_ctx() is
    /// smaller all the same.
    Result<uint64_t> shrink(uint64_t bytes);
    static constexpr uint32_t kLeastRoomTokens = 256;

    /// Logits of the last token after sync or step: [n_vocab]. Valid until the next call. Requires has_logits().
    std::span<const float> logits() const;
    bool has_logits() const { return has_logits_; }

    /// Keeps the first n_tokens (at most as many as there are) and drops the rest; fewer where layers have a state that
    /// was not kept there. Returns how many.
    uint32_t rewind(uint32_t n_tokens);
    /// As Timeline::checkpoint.
    void checkpoint() { timeline_->checkpoint(); }

    /// Starts over with `tokens` and passes the logits of every one of them to the sink, in order: rows [first, first
    /// + logits.size() / n_vocab). A chunk holds at most max_outputs tokens. The sink may fail; that stops the run.
    /// Fails: as sync.
    using LogitsSink = std::function<Result<void>(uint32_t first, std::span<const float> logits)>;
    Result<void> logits_of_all(std::span<const TokenId> tokens, const LogitsSink& sink, std::stop_token stop = {});

    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

  private:
    Session(std::unique_ptr<StepRunner> runner, const SessionShape& shape);

    Result<void> check_tokens(std::span<const TokenId> tokens, uint32_t first) const;
    Result<void> run_step(const StepItem& item, uint32_t n_states = 1, std::span<Program* const> before = {});
    StepKey verify_key(uint32_t n_tokens, bool choose) const;

    SessionShape shape_;
    std::unique_ptr<StepRunner> runner_;
    std::unique_ptr<Timeline> timeline_;
    std::unique_ptr<StepsAhead> ahead_;
    uint32_t n_logit_rows_ = 0;
    bool has_logits_ = false;
    uint32_t n_ctx_at_first_ = 0;
    uint32_t n_announced_ = 0;          // how many tokens the running call will hold when it ends
    std::vector<ChoiceParams> params_;  // of a verify step
};

}  // namespace atlas
