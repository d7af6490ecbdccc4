// Layers with one state instead of keys and values: forks, verify steps, rewinding and checkpoints.
#include "tests/session/engines.h"
#include "tests/support/toy_recurrent.h"

namespace atlas {
namespace {

using testing::largest_difference;

/// A layer that can be computed by hand, and a model that has attention, too.
enum class Kind { toy, qwen35 };

class Recurrent : public ::testing::TestWithParam<Kind> {
  protected:
    Recurrent() {
        testing::TinyShape shape = testing::smallest_shape();
        if (GetParam() == Kind::qwen35) {
            shape.architecture = "qwen35";
            shape.n_layer = 3;
        }
        testing::write_tiny_model(dir_ / "tiny.gguf", shape);
    }

    static const Architecture* architecture() {
        return GetParam() == Kind::toy ? &testing::kToyRecurrent : architecture_named("qwen35");
    }
    testing::Running start(uint32_t n_batch = 64, uint32_t max_checkpoints = 4, uint32_t max_outputs = 8) {
        return testing::start_model(dir_ / "tiny.gguf", *backend_,
                                    {.n_ctx = 1024,
                                     .n_batch = n_batch,
                                     .max_outputs = max_outputs,
                                     .kv_format = Format::f32,
                                     .max_checkpoints = max_checkpoints,
                                     .checkpoint_every = 64},
                                    architecture());
    }
    static std::vector<TokenId> tokens(uint32_t n, uint64_t seed = 3) { return testing::tiny_tokens(n, kVocab, seed); }

    /// As a session that reads the whole text at once.
    void expect_fresh(Session& session) {
        const auto fresh = start(1024);
        ASSERT_TRUE(fresh.session->sync(session.tokens()).has_value());
        ASSERT_EQ(largest_difference(session.logits(), fresh.session->logits()), 0) << session.tokens().size();
    }

    TempDir dir_;
    std::unique_ptr<Backend> backend_ = make_ref_backend();
};

TEST_P(Recurrent, ChunksAndStepsContinueTheState) {
    const auto running = start(16);
    ASSERT_TRUE(running.session->sync(tokens(50)).has_value());
    expect_fresh(*running.session);
    for (uint32_t i = 0; i < 20; ++i) ASSERT_TRUE(running.session->step(i % kVocab).has_value());
    expect_fresh(*running.session);
}

TEST_P(Recurrent, OfAVerifyStepEveryStateIsKeptUntilTheNext) {
    for (uint32_t n_kept = 0; n_kept <= 6; ++n_kept) {
        const auto running = start();
        Session& session = *running.session;
        ASSERT_TRUE(session.sync(tokens(30)).has_value());
        ASSERT_TRUE(session.extend(tokens(6, 9), 6).has_value());
        EXPECT_EQ(session.rewind(30 + n_kept), 30 + n_kept);
        ASSERT_TRUE(session.step(7).has_value());
        expect_fresh(session);
    }
}

TEST_P(Recurrent, VerifyStepsOfEveryWidth) {
    const auto running = start(64, 0, kBatchInvariantWidth);
    Session& session = *running.session;
    ASSERT_TRUE(session.sync(tokens(30)).has_value());
    for (uint32_t width = 2; width <= kBatchInvariantWidth; width += width < 6 ? 1 : 6) {
        const auto n_before = static_cast<uint32_t>(session.tokens().size()), n_kept = width / 2;
        ASSERT_TRUE(session.extend(tokens(width, width), width).has_value());
        EXPECT_EQ(session.rewind(n_before + n_kept), n_before + n_kept);
        ASSERT_TRUE(session.step(width % kVocab).has_value());
        expect_fresh(session);
    }
}

TEST_P(Recurrent, ATextThatChangesIsReadAgainFromACheckpoint) {
    const auto running = start();
    Session& session = *running.session;
    auto text = tokens(300);
    ASSERT_TRUE(session.sync(text).has_value());
    text[250] = (text[250] + 1) % kVocab;
    EXPECT_EQ(session.sync(text).value(), 192u) << "after every 64 tokens";
    expect_fresh(session);
    // At most four are kept: these are all that there are.
    text[70] = (text[70] + 1) % kVocab;
    EXPECT_EQ(session.sync(text).value(), 64u);
    expect_fresh(session);
    // Where the caller says: at a message's end.
    ASSERT_TRUE(session.sync(std::span(text).first(100)).has_value());
    session.checkpoint();
    ASSERT_TRUE(session.sync(text).has_value());
    text[110] = (text[110] + 1) % kVocab;
    EXPECT_EQ(session.sync(text).value(), 100u);
    expect_fresh(session);
}

TEST_P(Recurrent, WithoutCheckpointsTheTextIsReadFromTheStart) {
    const auto running = start(64, 0);
    auto text = tokens(300);
    ASSERT_TRUE(running.session->sync(text).has_value());
    text[250] = (text[250] + 1) % kVocab;
    EXPECT_EQ(running.session->sync(text).value(), 0u);
    expect_fresh(*running.session);
}

TEST_P(Recurrent, TheDeviceChoosesOneStepAhead) {
    const auto running = start();
    Session& session = *running.session;
    ASSERT_TRUE(session.sync(tokens(20)).has_value());
    const auto sampler = Sampler::create({.temperature = 1.0f, .seed = 5}).value();
    ASSERT_TRUE(session.start_choosing(sampler).has_value());
    std::vector<TokenId> said;
    for (uint32_t i = 0; i < 90; ++i) said.push_back(session.next_choice(true).value().token);
    session.stop_choosing();
    EXPECT_EQ(session.tokens().size(), 20u + 89) << "the last one's step is dropped, and its state";
    ASSERT_TRUE(session.step(said.back()).has_value());
    expect_fresh(session);
}

TEST_P(Recurrent, PlannedEqualsAllocated) {
    const auto running = start();
    const uint64_t with = running.session->plan().kv_bytes;
    const ModelConfig& config = running.model->config();
    EXPECT_EQ(with, sum_of(kv_storages(config, kv_rows(config, {}, 1024), Format::f32)) +
                        sum_of(state_storages(config, 1 + 2 + 8 + 4)));
}

// Requests of one engine share states as they share pages: what a prompt before has computed is not computed again.
TEST_P(Recurrent, AnEnginesAnswersAreThoseOfSessions) {
    const SessionShape shape{.pool_tokens = 2048,
                             .n_ctx = 512,
                             .n_batch = 64,
                             .max_outputs = 16,
                             .max_timelines = 3,
                             .kv_format = Format::f32,
                             .checkpoint_every = 64};
    auto batch = testing::start_batch(dir_ / "tiny.gguf", *backend_, shape, architecture());
    for (const bool drafts : {false, true}) {
        std::unique_ptr<BatchSpeculation> speculation;
        if (drafts) {
            batch = testing::start_batch(dir_ / "tiny.gguf", *backend_, shape, architecture());
            speculation =
                std::make_unique<BatchSpeculation>([] { return std::make_unique<LookupSpeculator>(); }, nullptr, 4);
            speculation->length().fix_width(kBatchInvariantWidth);
        }
        const auto engine = Engine::create(std::move(batch.runner), std::move(speculation)).value();
        std::map<RequestId, EngineRequest> wanted;
        for (uint32_t i = 0; i < 8; ++i) {
            EngineRequest request;
            request.prompt = tokens(140);
            for (const TokenId token : tokens(10 + i, 20 + i)) request.prompt.push_back(token);
            request.sampler.temperature = i % 2 == 0 ? 0.0f : 1.0f;
            request.sampler.seed = i;
            request.max_tokens = 40 + i;
            wanted[engine->submit(request).value()] = request;
        }
        uint32_t n_reused = 0, n_accepted = 0;
        while (!engine->is_idle()) ASSERT_TRUE(engine->step().has_value());
        for (const EngineResult& result : engine->take_finished()) {
            ASSERT_EQ(result.finish, EngineFinish::max_tokens);
            n_reused += result.reused_tokens;
            n_accepted += result.accepted_tokens;
            const EngineRequest& request = wanted.at(result.id);
            const auto alone = start();
            EXPECT_EQ(result.answer, answer_alone(*alone.session, request)) << result.id;
        }
        EXPECT_GE(n_reused, 5 * 128u) << "the first three are computed at once";
        if (drafts) {
            EXPECT_GT(n_accepted, 0u);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Recurrent, ::testing::Values(Kind::toy, Kind::qwen35),
                         [](const auto& kind) { return kind.param == Kind::toy ? "toy" : "qwen35"; });

}  // namespace
}  // namespace atlas
