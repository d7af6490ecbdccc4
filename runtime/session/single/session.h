#pragma once
// One timeline of tokens on a loaded model.

#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "runtime/model/load.h"
#include "runtime/session/cache/kv_layers.h"
#include "runtime/session/cache/kv_pages.h"
#include "runtime/session/sampler.h"
#include "runtime/session/speculation/speculator.h"

namespace atlas {

/// A token that the device chose.
struct Choice {
    uint32_t token = 0;
    double logprob = 0;  // natural logarithm of its probability at temperature 1, after penalties; 0 unless it was asked for
};

using TokenId = uint32_t;

/// Not thread-safe; one thread at a time. The backend and its scratch serve one running session at a time.
class Session {
  public:
    /// Takes the KV cache, scratch, step and output storages; nothing is allocated later.
    /// Fails: invalid_argument (shape), out_of_memory (bytes needed, there, and what would fit), limit (as KvLayers::create).
    static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model, const SessionShape& shape);

    uint32_t n_ctx() const { return plan_.n_ctx; }
    uint32_t n_ctx_at_first() const { return n_ctx_at_first_; }  // larger than n_ctx() once memory was given back
    uint32_t n_batch() const { return shape_.n_batch; }          // most tokens per step
    uint32_t max_outputs() const { return shape_.max_outputs; }  // most logit rows per step
    const MemoryPlan& plan() const { return plan_; }
    const Model& model() const { return *model_; }
    /// The tokens whose K and V are in the cache.
    const std::vector<TokenId>& tokens() const { return tokens_; }

    struct SyncOptions {
        std::stop_token stop = {};
        std::function<void(uint32_t done_tokens, uint32_t total_tokens)> progress = {};  // after every chunk; without the reused prefix
    };
    /// Makes the timeline equal to `tokens` (at least one): keeps what agrees from the start, runs the rest in chunks of at most n_batch.
    /// Then logits() are those of the last token. Returns how many tokens were reused.
    /// Fails: limit (longer than n_ctx), invalid_argument (empty; an id outside the vocabulary), cancelled (the timeline holds the chunks that
    /// were done), device_lost.
    Result<uint32_t> sync(std::span<const TokenId> tokens, const SyncOptions& options);
    Result<uint32_t> sync(std::span<const TokenId> tokens) { return sync(tokens, {}); }

    /// Appends one token. Allocates and records nothing once a step of this context bucket has run. Fails: as sync.
    Result<void> step(TokenId token);

    // Decoding where the device chooses: the chosen token goes straight into the next step, which is submitted before the host has read
    // which token it was. start_choosing, next_choice any number of times, stop_choosing; nothing else in between.

    /// Whether the device can do what these options ask; else the host samples from logits(). The tokens are the same.
    bool can_choose(const SamplerOptions& options) const;
    /// From the logits of the last token, as `sampler` would go on from now. Requires has_logits(), which is over, and can_choose().
    /// Fails: device_lost, out_of_memory.
    Result<void> start_choosing(const Sampler& sampler, bool logprobs = false);
    /// The next token. With `go_on` and room in the context its step is already under way, and the token is the last of tokens();
    /// without, nothing is, and there is no further choice. Allocates and records nothing once two steps of this context bucket have run.
    /// Fails: device_lost, corrupt (damaged logits). After a failure only stop_choosing may follow.
    Result<Choice> next_choice(bool go_on);
    /// Waits for what is under way and drops it: the token that was chosen last leaves the timeline again.
    void stop_choosing();

    // Several tokens in one step (session_extend.cpp).

    /// Appends tokens, at most n_batch; logits_rows() are then those of the last n_outputs of them, at most max_outputs; 0: none.
    /// Fails: as sync.
    Result<void> extend(std::span<const TokenId> tokens, uint32_t n_outputs);
    /// Of the last extend, verify or step: [n_outputs, n_vocab]. Valid until the next call. Requires has_logits().
    std::span<const float> logits_rows() const;

    /// How many tokens one step may hold from here on so that each gets, to the bit, what steps of one would give it; 0: the context is full.
    uint32_t batch_invariant_width() const;
    /// Appends 1 .. batch_invariant_width() tokens in one step. Of every row the device chooses a token: choices[i] is what `sampler` would choose from
    /// row i as its draw n_draws() + i; row i has the logits after tokens[i]. The sampler stays as it is. Requires can_choose() of its
    /// options, which may hold no penalties (they would depend on what is accepted). Fails: as sync; corrupt (damaged logits).
    Result<void> verify(std::span<const TokenId> tokens, const Sampler& sampler, std::span<TokenId> choices);
    /// A verify in two parts, for tokens that the device is about to choose: of n_tokens the host knows the first ones, `known`; `before` makes the
    /// rest and writes them into draft_place(known.size()), in the same submission. Waits for the end of it; take_verified is next.
    Result<void> verify_behind(std::span<Program* const> before, std::span<const TokenId> known, uint32_t n_tokens, const Sampler& sampler);
    /// `tokens`: all that the step held, the ones that were chosen for it too; they join the timeline. `choices` as in verify. Fails: as verify.
    Result<void> take_verified(std::span<const TokenId> tokens, std::span<TokenId> choices);
    /// Where the tokens of the next verify_behind lie, of which n_known are known.
    DraftPlace draft_place(uint32_t n_known) const { return {&model_->backend(), step_storage_, n_known}; }
    /// Whether prepare_verify would have nothing to record.
    bool has_verify(uint32_t n_tokens, bool choose) const;
    /// Records what a verify, or an extend with logits of all, of so many tokens needs here; true if there was something to record.
    Result<bool> prepare_verify(uint32_t n_tokens, bool choose);

    // Guesses for a step of another session of the same backend; they go there without the host (session_draft.cpp).

    /// Appends to `queued` what brings this timeline to `tokens` and then chooses n times the likeliest token with an id below n_known_ids, each
    /// behind the one before, into words [place.first, place.first + n), at most kBatchInvariantWidth with those before. Nothing runs until it is submitted,
    /// all in this order and before what reads the words; then take_drafts may follow, and nothing else in between. If it is not submitted or fails, the
    /// timeline is what agrees with `tokens`. What is missing of `tokens` is run at once where it is more than a short step. Requires can_choose()
    /// of greedy options, place.first > 0, tokens.size() + n at most n_ctx(). Fails: as sync.
    Result<void> queue_drafts(std::span<const TokenId> tokens, uint32_t n, uint32_t n_known_ids, const DraftPlace& place, QueuedDrafts& queued);
    /// What was chosen; `tokens` as before. The timeline is then those and all guesses but the last; there are no logits.
    /// Fails: corrupt (damaged logits).
    Result<void> take_drafts(std::span<const TokenId> tokens, std::span<Choice> draft_tokens);

    // Memory for others (session_shrink.cpp).

    /// Gives `bytes` of the cache back to the device, in whole pages of every layer, or as much as lies behind the timeline (and what a sync
    /// under way is to hold) and kLeastRoomTokens more. n_ctx() is smaller from then on; all else is as it was, to the bit. Each storage is there
    /// twice while it moves, one at a time. May be called between any two calls, also while choosing and by a sync's progress.
    /// Returns how many bytes went. Fails: out_of_memory (no room even for one smaller storage), device_lost; n_ctx() is smaller all the same.
    Result<uint64_t> shrink(uint64_t bytes);
    static constexpr uint32_t kLeastRoomTokens = 256;

    /// Of the last token after sync or step: [n_vocab]. Valid until the next call. Requires has_logits().
    std::span<const float> logits() const;
    bool has_logits() const { return has_logits_; }

    /// Keeps the first n_tokens (at most as many as there are) and forgets the rest.
    void rewind(uint32_t n_tokens);

    /// Starts over with `tokens` and hands out the logits of every one of them, in order: rows [first, first + logits.size() / n_vocab).
    /// A chunk holds at most max_outputs tokens. The sink may fail; that stops. Fails: as sync.
    using LogitsSink = std::function<Result<void>(uint32_t first, std::span<const float> logits)>;
    Result<void> logits_of_all(std::span<const TokenId> tokens, const LogitsSink& sink, std::stop_token stop = {});

    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

  private:
    explicit Session(std::shared_ptr<const Model> model);

    /// What a recorded step depends on; everything else is in the step storages.
    struct StepKey {
        uint32_t n_tokens = 0;
        uint32_t n_outputs = 0;
        uint32_t max_kv_tokens = 0;
        uint32_t chain = 0;       // 1 or 2: reads chain buffer 0 or 1 and chooses at the end; n_tokens 0: chooses from what logits there are
        uint32_t n_history = 0;   // of a choice
        bool choose_rows = false; // a verify: the device chooses from every row
        bool operator==(const StepKey&) const = default;
    };
    struct RecordedStep {
        StepKey key;
        uint64_t last_use = 0;
        std::unique_ptr<Program> program;
    };

    /// What chooses a guess and writes it; it reads the word before.
    struct DraftKey {
        uint32_t word = 0;           // of the place
        uint32_t max_kv_tokens = 0;  // of the step in front of the choice; 0: none, there are logits
        uint32_t n_known_ids = 0;
        std::shared_ptr<Storage> words = nullptr;
        bool operator==(const DraftKey&) const = default;
    };
    struct RecordedDraft {
        DraftKey key;
        uint64_t last_use = 0;
        std::unique_ptr<Program> program;
    };

    Result<void> allocate();
    Result<void> check_tokens(std::span<const TokenId> tokens, uint32_t first) const;
    Result<void> run_step(std::span<const TokenId> tokens, uint32_t n_outputs);
    Result<Program*> program_for(const StepKey& key);
    StepViews views_of(const StepKey& key) const;
    void extend_pages(uint32_t n_tokens);
    /// Of the step's n_tokens `tokens` are the first; the device chooses the others.
    void write_step(std::span<const TokenId> tokens, uint32_t n_tokens, uint32_t n_outputs);
    void keep_logits(uint32_t n_outputs);
    uint32_t kv_bucket(uint32_t n_kv_tokens) const;  // how many keys a step is recorded for

    // session_extend.cpp
    StepKey verify_key(uint32_t n_tokens, bool choose) const;
    void record_row_choices(const StepKey& key, Ops& ops) const;

    // session_draft.cpp
    Result<Program*> draft_program(const DraftKey& key, QueuedDrafts& queued);
    void record_draft(const DraftKey& key, Ops& ops) const;
    void write_draft_steps(uint32_t n_past, uint32_t first, uint32_t n);

    // session_chain.cpp
    StepViews chain_views(const StepKey& key) const;
    SampleTables choice_tables(const StepKey& key) const;
    void record_choice(const StepKey& key, Ops& ops) const;
    Result<void> submit_choice(uint32_t n_tokens);
    Result<Choice> read_choice(uint32_t buffer);
    Result<Choice> choice_of(std::span<const uint32_t> result) const;

    std::shared_ptr<const Model> model_;
    SessionShape shape_;
    MemoryPlan plan_;
    KvLayers kv_;
    std::shared_ptr<Storage> step_storage_;  // programs of a session that guesses for this one write into it
    std::unique_ptr<Storage> page_table_storage_;
    std::unique_ptr<Storage> output_storage_;
    std::unique_ptr<Storage> verify_params_;   // [kBatchInvariantWidth * kParamWords]
    std::unique_ptr<Storage> verify_results_;  // [kBatchInvariantWidth * kResultWords]

    KvPages pages_{0};
    std::vector<uint32_t> page_table_;  // pages of this timeline, in order
    std::vector<TokenId> tokens_;
    std::vector<uint32_t> step_words_;  // [5 * n_batch] what goes into the step storage
    uint32_t n_logit_rows_ = 0;
    bool has_logits_ = false;
    uint32_t n_ctx_at_first_ = 0;
    uint32_t n_announced_ = 0;  // tokens that a call under way will hold in the end
    // [max_outputs, n_vocab], read from the device when somebody asks
    mutable std::vector<float> logits_;
    mutable bool logits_read_ = false;

    struct Chain {
        std::array<std::unique_ptr<Storage>, 2> steps;  // see kChainStepBytes: words 0-3, parameters from word 16
        std::unique_ptr<Storage> state;                 // the chosen token at byte 0, the history at byte 256
        std::unique_ptr<Storage> results;               // of buffer i at byte 256 i
        std::array<uint32_t, 16 + sampling::kParamWords> words{};
        uint64_t draw = 0;
        uint64_t ticket = 0;
        uint32_t buffer = 0;     // of the choice that is under way
        uint32_t n_history = 0;
        bool active = false;
        bool pending = false;    // a choice is under way
        bool stepped = false;    // the last token of the timeline was chosen here and its step submitted
    };
    Chain chain_;
    std::vector<RecordedStep> recorded_;  // a small LRU
    std::vector<RecordedDraft> recorded_drafts_;  // another one
    uint32_t first_draft_ = 0;  // word of the first of those that were queued last
    uint64_t n_uses_ = 0;
};

}  // namespace atlas
