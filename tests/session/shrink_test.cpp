// A session shrinks its cache: its later results are the ones that it would have given.
#include <gtest/gtest.h>

#include <map>

#include "runtime/session/batch/engine.h"
#include "tests/support/run_logits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/support/watched_backend.h"

namespace atlas {
namespace {

using testing::largest_difference;

constexpr SessionShape kShape{.n_ctx = 4096, .n_batch = 64, .max_outputs = 4, .kv_format = Format::f16};

class GiveBack : public ::testing::Test {
  protected:
    void SetUp() override {
        testing::write_tiny_model(dir_ / "tiny.gguf", testing::tiny_shape("llama"));
        tokens_ = testing::tiny_tokens(200, 97, 3);
    }
    testing::Running start(Backend& backend, SessionShape shape = kShape) {
        return testing::start_model(dir_ / "tiny.gguf", backend, shape);
    }

    TempDir dir_;
    std::vector<uint32_t> tokens_;
    testing::WatchedBackend backend_;
    std::unique_ptr<Backend> other_ = make_ref_backend();
};

TEST_F(GiveBack, LogitsAndTokensStayAndTheContextIsShorter) {
    const auto running = start(backend_), twin = start(*other_);
    Session& session = *running.session;
    ASSERT_TRUE(session.sync(std::span(tokens_).first(100)));
    ASSERT_TRUE(twin.session->sync(std::span(tokens_).first(100)));
    const uint64_t before_bytes = session.plan().kv_bytes, page_bytes = before_bytes / (4096 / 32);
    EXPECT_EQ(session.shrink(10 * page_bytes - 1).value(), 10 * page_bytes) << "whole pages";
    EXPECT_EQ(session.n_ctx(), 4096u - 320);
    EXPECT_EQ(session.plan().kv_bytes, before_bytes - 10 * page_bytes);
    EXPECT_TRUE(session.has_logits());
    EXPECT_EQ(largest_difference(session.logits(), twin.session->logits()), 0);
    for (uint32_t t = 100; t < 110; ++t) {
        ASSERT_TRUE(session.step(tokens_[t]) && twin.session->step(tokens_[t]));
        ASSERT_EQ(largest_difference(session.logits(), twin.session->logits()), 0) << "position " << t;
    }
    // Shrinks as far as possible: 110 tokens and room for 256 stay.
    EXPECT_GT(session.shrink(UINT64_MAX).value(), 0u);
    EXPECT_EQ(session.n_ctx(), 384u);
    EXPECT_EQ(session.shrink(UINT64_MAX).value(), 0u);
    EXPECT_EQ(session.n_ctx_at_first(), 4096u);
    EXPECT_EQ(session.sync(tokens_).value(), 110u);
    ASSERT_TRUE(twin.session->sync(tokens_));
    EXPECT_EQ(largest_difference(session.logits(), twin.session->logits()), 0);
    session.rewind(40);
    EXPECT_GT(session.shrink(UINT64_MAX).value(), 0u);
    EXPECT_EQ(session.n_ctx(), 320u);
    ASSERT_TRUE(session.sync(tokens_));
    EXPECT_EQ(largest_difference(session.logits(), twin.session->logits()), 0);
}

TEST_F(GiveBack, BeyondTheShorterContextThereIsAClearError) {
    const auto running = start(backend_);
    ASSERT_TRUE(running.session->sync(tokens_));
    ASSERT_TRUE(running.session->shrink(UINT64_MAX));
    const auto done = running.session->sync(testing::tiny_tokens(600, 97, 3));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::limit);
    for (const char* word : {"600", "480", "4096", "other programs"})
        EXPECT_NE(done.error().message.find(word), std::string::npos) << done.error().message;
}

TEST_F(GiveBack, APromptThatIsBeingReadKeepsItsRoom) {
    const auto running = start(backend_), twin = start(*other_);
    const auto prompt = testing::tiny_tokens(1000, 97, 5);
    bool gave = false;
    const auto progress = [&](uint32_t, uint32_t) {
        if (!gave) {
            EXPECT_GT(running.session->shrink(UINT64_MAX).value(), 0u);
        }
        gave = true;
    };
    ASSERT_TRUE(running.session->sync(prompt, {.progress = progress}));
    EXPECT_EQ(running.session->n_ctx(), 1280u) << "1000 tokens and 256, in whole pages";
    ASSERT_TRUE(twin.session->sync(prompt));
    EXPECT_EQ(largest_difference(running.session->logits(), twin.session->logits()), 0);
}

TEST_F(GiveBack, WhileTheDeviceChoosesAStepAhead) {
    const auto running = start(backend_), twin = start(*other_);
    const auto options = SamplerOptions{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 11};
    std::vector<uint32_t> said[2];
    for (int i = 0; i < 2; ++i) {
        Session& session = i == 0 ? *running.session : *twin.session;
        ASSERT_TRUE(session.sync(std::span(tokens_).first(20)));
        ASSERT_TRUE(session.start_choosing(Sampler::create(options).value()));
        for (int n = 0; n < 120; ++n) {
            const auto choice = session.next_choice(true);
            ASSERT_TRUE(choice) << choice.error().message;
            said[i].push_back(choice->token);
            if (i == 0 && n % 40 == 7) {
                EXPECT_GT(session.shrink(n == 7 ? 100'000 : n == 47 ? 200'000 : UINT64_MAX).value(), 0u);
            }
        }
        session.stop_choosing();
    }
    EXPECT_EQ(said[0], said[1]);
    EXPECT_LT(running.session->n_ctx(), 600u);
}

// The contract: one storage exists twice at a time, never more.
TEST_F(GiveBack, WhatCannotMoveStaysAndIsRight) {
    const auto running = start(backend_), twin = start(*other_);
    ASSERT_TRUE(running.session->sync(std::span(tokens_).first(100)) &&
                twin.session->sync(std::span(tokens_).first(100)));
    backend_.fail_shrink = 2;
    const auto given = running.session->shrink(UINT64_MAX);
    ASSERT_FALSE(given);
    EXPECT_EQ(given.error().code, ErrorCode::out_of_memory);
    EXPECT_EQ(running.session->n_ctx(), 384u);
    ASSERT_TRUE(running.session->sync(tokens_) && twin.session->sync(tokens_));
    EXPECT_EQ(largest_difference(running.session->logits(), twin.session->logits()), 0);
    backend_.fail_shrink = -1;
    running.session->rewind(10);
    EXPECT_TRUE(running.session->shrink(UINT64_MAX));
    ASSERT_TRUE(running.session->sync(tokens_));
    EXPECT_EQ(largest_difference(running.session->logits(), twin.session->logits()), 0);
}

// Requests of an engine continue with the same answers, waiting ones too.
TEST_F(GiveBack, AnEnginesAnswersStay) {
    const SessionShape shape{.pool_tokens = 2048,
                             .n_ctx = 512,
                             .n_batch = 64,
                             .max_outputs = 8,
                             .max_timelines = 3,
                             .kv_format = Format::f16};
    std::map<RequestId, std::vector<TokenId>> answers[2];
    for (int i = 0; i < 2; ++i) {
        auto file = gguf::File::open(dir_ / "tiny.gguf");
        Backend& backend = i == 0 ? static_cast<Backend&>(backend_) : *other_;
        const auto engine =
            Engine::create(
                Model::load(*file, backend, {.n_ctx = 2048, .n_batch = 64, .kv_format = Format::f16}).value(), shape)
                .value();
        for (uint32_t r = 0; r < 6; ++r) {
            EngineRequest request;
            request.prompt = testing::tiny_tokens(30 + 40 * r, 97, r / 2);  // pairs begin with the same tokens
            request.sampler.temperature = 0.8f;
            request.sampler.seed = r;
            request.max_tokens = 40;
            ASSERT_TRUE(engine->submit(request));
        }
        for (int step = 0; !engine->is_idle(); ++step) {
            ASSERT_LT(step, 2000);
            ASSERT_TRUE(engine->step());
            if (i == 1 || step % 30 != 9) continue;
            const uint32_t before = engine->runner().shape().pool_tokens;
            const auto given = engine->shrink(step == 9 ? engine->runner().pool().page_bytes() * 8 : UINT64_MAX);
            ASSERT_TRUE(given) << given.error().message;
            if (step <= 39) {
                EXPECT_GT(*given, 0u) << step;
            }
            if (step == 9) {
                EXPECT_EQ(engine->runner().shape().pool_tokens, before - 256);
            }
        }
        for (EngineResult& result : engine->take_finished()) {
            EXPECT_EQ(result.finish, EngineFinish::max_tokens) << (result.error ? result.error->message : "");
            answers[i][result.id] = result.answer;
        }
        if (i == 0) {
            EXPECT_LT(engine->runner().shape().pool_tokens, 1200u);
        }
    }
    EXPECT_EQ(answers[0].size(), 6u);
    EXPECT_EQ(answers[0], answers[1]);
}

// A draft model's cache only costs speed: it shrinks before the requests' own.
TEST_F(GiveBack, AnEnginesDraftGivesFirst) {
    const SessionShape shape{.pool_tokens = 2048,
                             .n_ctx = 512,
                             .n_batch = 64,
                             .max_outputs = 24,
                             .max_timelines = 3,
                             .kv_format = Format::f16};
    std::map<RequestId, std::vector<TokenId>> answers[2];
    for (int i = 0; i < 2; ++i) {
        auto file = gguf::File::open(dir_ / "tiny.gguf");
        Backend& backend = i == 0 ? static_cast<Backend&>(backend_) : *other_;
        const auto model =
            Model::load(*file, backend, {.n_ctx = 2048, .n_batch = 64, .kv_format = Format::f16}).value();
        std::unique_ptr<BatchSpeculation> speculation;
        if (i == 0) {
            auto draft = std::make_unique<DraftModel>(StepRunner::create(model, shape).value(), 97);
            speculation = std::make_unique<BatchSpeculation>(BatchSpeculation::MakeLookup{}, std::move(draft), 4);
            speculation->length().fix_width(kBatchInvariantWidth);
        }
        const auto engine = Engine::create(model, shape, std::move(speculation)).value();
        for (uint32_t r = 0; r < 3; ++r) {
            EngineRequest request;
            request.prompt = testing::tiny_tokens(30 + 40 * r, 97, r);
            request.max_tokens = 60;
            ASSERT_TRUE(engine->submit(request));
        }
        uint64_t n_accepted = 0;
        for (int step = 0; !engine->is_idle(); ++step) {
            ASSERT_LT(step, 2000);
            ASSERT_TRUE(engine->step());
            if (i == 1 || (step != 6 && step != 9)) continue;
            const uint64_t some = 8 * engine->runner().pool().page_bytes();
            const auto given = engine->shrink(step == 6 ? some : UINT64_MAX);
            ASSERT_TRUE(given) << given.error().message;
            EXPECT_GE(*given, some);
            if (step == 6) {
                EXPECT_EQ(engine->runner().shape().pool_tokens, 2048u);
            } else {
                EXPECT_LT(engine->runner().shape().pool_tokens, 2048u);
            }
        }
        for (EngineResult& result : engine->take_finished()) {
            n_accepted += result.accepted_tokens;
            answers[i][result.id] = result.answer;
        }
        EXPECT_EQ(n_accepted > 60, i == 0) << n_accepted;
    }
    EXPECT_EQ(answers[0].size(), 3u);
    EXPECT_EQ(answers[0], answers[1]);
}

}  // namespace
}  // namespace atlas
