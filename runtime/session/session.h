#pragma once
// One timeline of tokens on a loaded model.

#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "runtime/model/load.h"
#include "runtime/session/kv_pages.h"

namespace atlas {

using TokenId = uint32_t;

/// Not thread-safe; one thread at a time. The backend and its scratch serve one running session at a time.
class Session {
  public:
    /// Takes the KV cache, scratch, step and output storages; nothing is allocated later.
    /// Fails: invalid_argument (shape), out_of_memory (bytes needed, there, and what would fit).
    static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model, const SessionShape& shape);

    uint32_t n_ctx() const { return plan_.n_ctx; }
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
        bool operator==(const StepKey&) const = default;
    };
    struct RecordedStep {
        StepKey key;
        uint64_t last_use = 0;
        std::unique_ptr<Program> program;
    };

    Result<void> allocate();
    Result<void> check_tokens(std::span<const TokenId> tokens, uint32_t first) const;
    Result<void> run_step(std::span<const TokenId> tokens, uint32_t n_outputs);
    Result<Program*> program_for(const StepKey& key);
    StepViews views_of(const StepKey& key) const;
    void extend_pages(uint32_t n_tokens);
    void write_step(std::span<const TokenId> tokens, uint32_t n_outputs);
    void read_logits(uint32_t n_outputs);

    std::shared_ptr<const Model> model_;
    SessionShape shape_;
    MemoryPlan plan_;
    std::vector<std::unique_ptr<Storage>> kv_storages_;  // k and v of each layer
    std::vector<KvLayer> kv_;                            // [n_layer]
    std::unique_ptr<Storage> step_storage_;
    std::unique_ptr<Storage> page_table_storage_;
    std::unique_ptr<Storage> output_storage_;

    KvPages pages_{0};
    std::vector<uint32_t> page_table_;  // pages of this timeline, in order
    std::vector<TokenId> tokens_;
    std::vector<uint32_t> step_words_;  // [5 * n_batch] what goes into the step storage
    std::vector<float> logits_;         // [max_outputs, n_vocab]
    uint32_t n_logit_rows_ = 0;
    bool has_logits_ = false;
    std::vector<RecordedStep> recorded_;  // a small LRU
    uint64_t n_uses_ = 0;
};

}  // namespace atlas
