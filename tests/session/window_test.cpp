// Layers with a sliding window keep the pages that windows see, and some more; everything else goes on as in a cache
// that keeps all.
#include "runtime/session/cache/snapshot.h"
#include "tests/session/engines.h"
#include "tests/support/toy_windows.h"

namespace atlas {
namespace {

using testing::kToyWindow;
using testing::largest_difference;

TEST(WindowSlots, ASlotIsReadKeptAndTakenAgain) {
    WindowSlots slots(2, 5);
    slots.take(0);
    slots.take(3);
    EXPECT_EQ(slots.n_available(), 0u);
    slots.share(3);
    slots.drop(3, true);
    EXPECT_EQ(slots.n_available(), 0u) << "it has another reader";
    const uint32_t slot = slots.slot_of(3);
    slots.drop(3, true);
    EXPECT_EQ(slots.n_available(), 1u);
    EXPECT_EQ(slots.slot_of(3), slot) << "kept";
    slots.share(3);
    EXPECT_EQ(slots.n_available(), 0u) << "and read again";
    slots.drop(3, true);
    slots.take(4);
    EXPECT_EQ(slots.slot_of(4), slot) << "taken from page 3";
    EXPECT_EQ(slots.slot_of(3), WindowSlots::kNone);
    slots.give(4, 1);
    EXPECT_EQ(slots.slot_of(1), slot);
    EXPECT_EQ(slots.slot_of(4), WindowSlots::kNone);
    slots.drop(1, false);
    EXPECT_EQ(slots.slot_of(1), WindowSlots::kNone);
    slots.drop(0, true);
    slots.forget(0);
    EXPECT_EQ(slots.slot_of(0), WindowSlots::kNone);
    EXPECT_EQ(slots.n_available(), 2u);
}

TEST(WindowSlots, TheOneThatWasKeptForLongestGoesFirst) {
    WindowSlots slots(3, 8);
    for (const uint32_t page : {0u, 1u, 2u}) slots.take(page);
    for (const uint32_t page : {1u, 0u, 2u}) slots.drop(page, true);
    slots.take(5);
    EXPECT_EQ(slots.slot_of(1), WindowSlots::kNone);
    EXPECT_NE(slots.slot_of(0), WindowSlots::kNone);
}

class Windows : public ::testing::Test {
  protected:
    Windows() {
        testing::TinyShape shape = testing::smallest_shape();
        shape.n_layer = 2;
        shape.n_ctx_train = 4096;
        testing::write_tiny_model(dir_ / "tiny.gguf", shape);
    }

    testing::Running start(uint32_t n_batch = 32, uint32_t checkpoint_every = 64) {
        return testing::start_model(dir_ / "tiny.gguf", *backend_,
                                    {.n_ctx = 2048,
                                     .n_batch = n_batch,
                                     .max_outputs = 8,
                                     .kv_format = Format::f32,
                                     .checkpoint_every = checkpoint_every},
                                    &testing::kToyWindows);
    }
    static std::vector<TokenId> tokens(uint32_t n, uint64_t seed = 3) { return testing::tiny_tokens(n, kVocab, seed); }

    /// As a session whose windows keep everything.
    void expect_fresh(Session& session) {
        const auto fresh = start(32, 2048);
        ASSERT_TRUE(fresh.session->sync(session.tokens()).has_value());
        ASSERT_EQ(largest_difference(session.logits(), fresh.session->logits()), 0) << session.tokens().size();
    }

    TempDir dir_;
    std::unique_ptr<Backend> backend_ = make_ref_backend();
};

TEST_F(Windows, PlannedForWhatTheWindowsSee) {
    const auto running = start();
    const ModelConfig& config = running.model->config();
    const uint64_t row = 2 * kv_row_bytes(Format::f32, config.layers[0].k_width());
    // 40 tokens lie in at most 2 + 2 pages, a step of 32 in one, and 64 more are kept.
    const uint64_t windowed = (2 + 2 + 1 + 2) * kPageTokens;
    EXPECT_EQ(running.session->plan().kv_bytes,
              storage_bytes(windowed * row / 2) * 2 + storage_bytes(2048 * row / 2) * 2);
}

TEST_F(Windows, ChunksStepsAndVerifyStepsAcrossTheRing) {
    const auto running = start();
    Session& session = *running.session;
    ASSERT_TRUE(session.sync(tokens(700)).has_value());
    expect_fresh(session);
    for (uint32_t i = 0; i < 150; ++i) ASSERT_TRUE(session.step(i % kVocab).has_value());
    expect_fresh(session);
    for (uint32_t n_kept = 0; n_kept <= 6; ++n_kept) {
        const auto before = static_cast<uint32_t>(session.tokens().size());
        ASSERT_TRUE(session.extend(tokens(6, 9 + n_kept), 6).has_value());
        EXPECT_EQ(session.rewind(before + n_kept), before + n_kept);
        ASSERT_TRUE(session.step(7).has_value());
        expect_fresh(session);
    }
}

TEST_F(Windows, ATextThatChangesNearItsEndIsNotReadAgain) {
    const auto running = start();
    Session& session = *running.session;
    auto text = tokens(500);
    ASSERT_TRUE(session.sync(text).has_value());
    for (const uint32_t at : {490u, 470u, 450u}) {
        text[at] = (text[at] + 1) % kVocab;
        EXPECT_EQ(session.sync(text).value(), at);
        expect_fresh(session);
    }
    text[100] = (text[100] + 1) % kVocab;
    EXPECT_EQ(session.sync(text).value(), 0u) << "that window is gone";
    expect_fresh(session);
    ASSERT_TRUE(session.sync(std::span(text).first(30)).has_value());
    expect_fresh(session);
}

TEST_F(Windows, TheDeviceChoosesOneStepAhead) {
    const auto running = start();
    Session& session = *running.session;
    ASSERT_TRUE(session.sync(tokens(20)).has_value());
    const auto sampler = Sampler::create({.temperature = 1.0f, .seed = 5}).value();
    ASSERT_TRUE(session.start_choosing(sampler).has_value());
    std::vector<TokenId> said;
    for (uint32_t i = 0; i < 300; ++i) said.push_back(session.next_choice(true).value().token);
    session.stop_choosing();
    ASSERT_TRUE(session.step(said.back()).has_value());
    expect_fresh(session);
}

TEST_F(Windows, AShorterCacheKeepsTheWindows) {
    const auto running = start();
    Session& session = *running.session;
    ASSERT_TRUE(session.sync(tokens(300)).has_value());
    const uint64_t before = session.plan().kv_bytes;
    const uint64_t given = session.shrink(1).value();
    EXPECT_GT(given, 0u);
    EXPECT_EQ(session.plan().kv_bytes, before - given);
    ASSERT_TRUE(session.step(3).has_value());
    expect_fresh(session);
}

class WindowsOfMany : public Windows {
  protected:
    static constexpr SessionShape kShape{.pool_tokens = 4096,
                                         .n_ctx = 1024,
                                         .n_batch = 64,
                                         .max_outputs = 16,
                                         .max_timelines = 3,
                                         .kv_format = Format::f32,
                                         .checkpoint_every = 64};
    std::vector<float> fresh_logits(std::span<const TokenId> text) {
        const auto fresh = start(32, 2048);
        EXPECT_TRUE(fresh.session->sync(text).has_value());
        return {fresh.session->logits().begin(), fresh.session->logits().end()};
    }
};

TEST_F(WindowsOfMany, SnapshotsHoldTheWindowsThatAreSeen) {
    const auto batch = testing::start_batch(dir_ / "tiny.gguf", *backend_, kShape, &testing::kToyWindows);
    const auto text = tokens(400);
    std::vector<std::byte> saved;
    {
        Timeline timeline(batch.runner->pool());
        for (uint32_t at = 0; at < 400; at += 50)
            testing::run_tokens(*batch.runner, timeline, {text.begin() + at, text.begin() + at + 50}, 0);
        saved = snapshot(timeline).value();
    }
    batch.runner->pool().forget_kept();
    for (const uint32_t n_kept : {400u, 395u, 200u}) {
        Timeline timeline = restore(batch.runner->pool(), saved).value();
        const uint32_t n = timeline.rewind(n_kept);
        EXPECT_EQ(n, n_kept == 200 ? 0 : n_kept) << "where the windows were not saved the text is read again";
        std::vector<TokenId> all(text.begin(), text.begin() + n);
        for (uint32_t i = 0; i < 60; ++i) all.push_back(i % kVocab);
        const auto rows = testing::run_tokens(*batch.runner, timeline, {all.begin() + n, all.end()}, 1);
        EXPECT_EQ(largest_difference(rows, fresh_logits(all)), 0) << n_kept;
    }
}

// Requests of one engine find the windows that are still there; else they read the text again.
TEST_F(WindowsOfMany, AnEnginesAnswersAreThoseOfSessions) {
    auto batch = testing::start_batch(dir_ / "tiny.gguf", *backend_, kShape, &testing::kToyWindows);
    auto speculation =
        std::make_unique<BatchSpeculation>([] { return std::make_unique<LookupSpeculator>(); }, nullptr, 4);
    speculation->length().fix_width(kBatchInvariantWidth);
    const auto engine = Engine::create(std::move(batch.runner), std::move(speculation)).value();
    std::map<RequestId, EngineRequest> wanted;
    for (uint32_t i = 0; i < 9; ++i) {
        EngineRequest request;
        request.prompt = tokens(i % 3 == 0 ? 70 : 333);
        for (const TokenId token : tokens(10 + i, 20 + i)) request.prompt.push_back(token);
        request.sampler.temperature = i % 2 == 0 ? 0.0f : 1.0f;
        request.sampler.seed = i;
        request.max_tokens = 60 + i;
        wanted[engine->submit(request).value()] = request;
    }
    uint32_t n_reused = 0;
    while (!engine->is_idle()) ASSERT_TRUE(engine->step().has_value());
    for (const EngineResult& result : engine->take_finished()) {
        ASSERT_EQ(result.finish, EngineFinish::max_tokens);
        n_reused += result.reused_tokens;
        const EngineRequest& request = wanted.at(result.id);
        const auto alone = start();
        EXPECT_EQ(result.answer, answer_alone(*alone.session, request)) << result.id;
    }
    EXPECT_GT(n_reused, 0u);
    EXPECT_EQ(engine->n_preemptions(), 0u);
    EXPECT_EQ(engine->runner().pool().windows().n_available(), engine->runner().pool().windows().n_slots());
}

}  // namespace
}  // namespace atlas
