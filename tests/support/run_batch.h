#pragma once
// A loaded model with a pool of timelines, and a fresh session's logits for the same tokens, for tests.

#include <map>

#include "runtime/session/speculation/draft_model.h"
#include "runtime/session/step/step_runner.h"
#include "tests/support/run_logits.h"
#include "tests/support/tiny_model.h"

namespace atlas::testing {

/// The smallest model that has heads, layers and pages: a step of the reference takes some microseconds.
inline TinyShape smallest_shape() {
    TinyShape shape = tiny_shape("llama");
    shape.n_layer = 1;
    shape.n_head = 1;
    shape.head_dim = 8;
    shape.n_embd = 8;
    shape.n_ff = 8;
    shape.n_vocab = 13;
    return shape;
}

/// A draft model on the oracle's or another backend, for one text. Aborts with the message on any error.
inline std::unique_ptr<DraftModel> start_draft(const std::filesystem::path& path, Backend& backend,
                                               const SessionShape& shape, uint32_t n_vocab) {
    auto file = gguf::File::open(path);
    ATLAS_CHECK(file.has_value(), "{}", file.error().message);
    auto model = Model::load(*file, backend, shape);
    ATLAS_CHECK(model.has_value(), "{}", model.error().message);
    auto runner = StepRunner::create(*model, shape, Serves::one);
    ATLAS_CHECK(runner.has_value(), "{}", runner.error().message);
    return std::make_unique<DraftModel>(std::move(*runner), n_vocab);
}

struct RunningBatch {
    std::shared_ptr<const Model> model;
    std::unique_ptr<StepRunner> runner;
};

/// The backend must outlive it. Aborts with the message on any error.
inline RunningBatch start_batch(const std::filesystem::path& path, Backend& backend, const SessionShape& shape,
                                const Architecture* architecture = nullptr) {
    auto file = gguf::File::open(path);
    ATLAS_CHECK(file.has_value(), "{}", file.error().message);
    auto model = Model::load(*file, backend,
                             {.n_ctx = shape.pool_tokens,
                              .n_batch = shape.n_batch,
                              .max_outputs = shape.max_outputs,
                              .kv_format = shape.kv_format},
                             {}, architecture);
    ATLAS_CHECK(model.has_value(), "{}", model.error().message);
    auto runner = StepRunner::create(*model, shape);
    ATLAS_CHECK(runner.has_value(), "{}", runner.error().message);
    return {*model, std::move(*runner)};
}

/// Runs one timeline's tokens; returns the rows of the last n_outputs.
inline std::vector<float> run_tokens(StepRunner& runner, Timeline& timeline, const std::vector<TokenId>& tokens,
                                     uint32_t n_outputs = 1) {
    const auto reserved = timeline.reserve(static_cast<uint32_t>(tokens.size()));
    ATLAS_CHECK(reserved.has_value() && *reserved, "no room");
    const StepItem item{&timeline, tokens, n_outputs};
    const auto done = runner.run({&item, 1});
    ATLAS_CHECK(done.has_value(), "{}", done.error().message);
    return {runner.logits(0).begin(), runner.logits(0).end()};
}

/// The logits of the last token after a prefill of all tokens from an empty context. Remembers what it has computed.
class FreshPrefill {
  public:
    FreshPrefill(const std::filesystem::path& path, Backend& backend, uint32_t n_ctx, KvFormats formats,
                 const Architecture* architecture = nullptr)
        : running_(start_model(path, backend, {.n_ctx = n_ctx, .n_batch = 64, .max_outputs = 1, .kv_format = formats},
                               architecture)) {}

    const std::vector<float>& logits(const std::vector<TokenId>& tokens) {
        auto [entry, is_new] = known_.try_emplace(tokens);
        if (is_new) {
            running_.session->rewind(0);
            const auto done = running_.session->sync(tokens);
            ATLAS_CHECK(done.has_value(), "{}", done.error().message);
            entry->second.assign(running_.session->logits().begin(), running_.session->logits().end());
        }
        return entry->second;
    }

  private:
    Running running_;
    std::map<std::vector<TokenId>, std::vector<float>> known_;
};

}  // namespace atlas::testing
