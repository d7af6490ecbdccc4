#pragma once
// Engines on the oracle's backend, and the answer that each request would get alone.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

#include "runtime/session/batch/engine.h"
#include "runtime/session/speculation/lookup.h"
#include "tests/support/run_batch.h"
#include "tests/support/temp_dir.h"
#include "tests/support/watched_backend.h"

namespace atlas {

inline constexpr uint32_t kVocab = 13;

/// What a session answers to a request of max_tokens that nothing ends before.
inline std::vector<TokenId> answer_alone(Session& session, const EngineRequest& request) {
    Sampler sampler = Sampler::create(request.sampler).value();
    std::vector<TokenId> answer;
    EXPECT_TRUE(session.sync(request.prompt).has_value());
    while (answer.size() < request.max_tokens && session.has_logits()) {
        answer.push_back(sampler.sample(session.logits()).value());
        EXPECT_TRUE(session.step(answer.back()).has_value());
    }
    return answer;
}

class Engines : public ::testing::Test {
  protected:
    Engines() { testing::write_tiny_model(dir_ / "tiny.gguf", testing::smallest_shape()); }

    Engine& start(SessionShape shape = {.pool_tokens = 2048,
                                        .n_ctx = 512,
                                        .n_batch = 64,
                                        .max_outputs = 32,
                                        .max_timelines = 8,
                                        .kv_format = Format::f32}) {
        auto file = gguf::File::open(dir_ / "tiny.gguf");
        model_ = Model::load(*file, backend_,
                             {.n_ctx = shape.pool_tokens, .n_batch = shape.n_batch, .kv_format = Format::f32})
                     .value();
        engine_ = Engine::create(model_, shape, speculation()).value();
        return *engine_;
    }

    /// As speculates_ says. The draft model is the model itself, so that greedy draft tokens are always accepted, in
    /// a pool that is too small for all.
    std::unique_ptr<BatchSpeculation> speculation() {
        if (speculates_ == Speculates::no) return nullptr;
        const auto lookup = [] { return std::make_unique<LookupSpeculator>(); };
        std::unique_ptr<DraftModel> draft;
        if (speculates_ == Speculates::lookup_and_draft) {
            const SessionShape small{.pool_tokens = 4 * kPageTokens,
                                     .n_ctx = 128,
                                     .n_batch = 40,
                                     .max_outputs = 8,
                                     .max_timelines = 8,
                                     .kv_format = Format::f32};
            draft = std::make_unique<DraftModel>(StepRunner::create(model_, small).value(), kVocab);
        }
        auto made = std::make_unique<BatchSpeculation>(lookup, std::move(draft), 6);
        if (fill_always_) made->length().fix_width(kBatchInvariantWidth);
        return made;
    }

    static EngineRequest request(uint32_t n_prompt, uint64_t seed, uint32_t max_tokens = 20, float temperature = 0) {
        EngineRequest made;
        made.prompt = testing::tiny_tokens(n_prompt, kVocab, seed);
        made.sampler.temperature = temperature;
        made.sampler.seed = seed;
        made.sampler.repetition_penalty = temperature > 1.2f ? 1.1f : 1.0f;  // then the host samples, else the device
        made.max_tokens = max_tokens;
        return made;
    }

    /// The answer of one session and one sampler.
    std::vector<TokenId> alone(const EngineRequest& request) {
        if (!session_)
            session_ = Session::create(model_, {.n_ctx = 512, .n_batch = 64, .kv_format = Format::f32}).value();
        Sampler sampler = Sampler::create(request.sampler).value();
        for (const TokenId token : request.prompt) sampler.accept(token);
        session_->rewind(0);
        EXPECT_TRUE(session_->sync(request.prompt).has_value());
        std::vector<TokenId> answer;
        while (answer.size() < request.max_tokens) {
            const TokenId token = sampler.sample(session_->logits()).value();
            if (std::count(request.end_tokens.begin(), request.end_tokens.end(), token) > 0) break;
            sampler.accept(token);
            answer.push_back(token);
            if (answer.size() < request.max_tokens) {
                EXPECT_TRUE(session_->step(token).has_value());
            }
        }
        return answer;
    }

    void submit(const EngineRequest& request) {
        const auto id = engine_->submit(request);
        ASSERT_TRUE(id.has_value()) << id.error().message;
        wanted_[*id] = request;
    }

    void collect() {
        for (EngineResult& result : engine_->take_finished()) results_[result.id] = std::move(result);
    }

    void run_to_the_end() {
        for (int n = 0; !engine_->is_idle(); ++n) {
            ASSERT_LT(n, 10000) << "the engine does not come to an end";
            const auto done = engine_->step();
            ASSERT_TRUE(done.has_value()) << done.error().message;
        }
        collect();
        EXPECT_EQ(engine_->runner().pool().n_in_use(), 0u) << "pages leaked";
    }

    void expect_all_as_alone() {
        for (const auto& [id, request] : wanted_) {
            ASSERT_EQ(results_.count(id), 1u) << "request " << id << " was lost";
            EXPECT_EQ(results_[id].answer, alone(request)) << "request " << id;
        }
    }

    enum class Speculates { no, lookup, lookup_and_draft };
    Speculates speculates_ = Speculates::no;
    bool fill_always_ = true;

    TempDir dir_;
    testing::WatchedBackend backend_;
    std::shared_ptr<const Model> model_;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<Session> session_;
    std::map<RequestId, EngineRequest> wanted_;
    std::map<RequestId, EngineResult> results_;
};

}  // namespace atlas
