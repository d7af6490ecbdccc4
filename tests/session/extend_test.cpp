// Several tokens in one step give the same as steps of one token, and the device chooses from every row what the
// sampler chooses.
#include <gtest/gtest.h>

#include "tests/reference/ref_backend.h"
#include "tests/support/run_logits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace atlas {
namespace {

constexpr uint32_t kVocabulary = 97;

struct Fixture {
    Fixture() { testing::write_tiny_model(dir / "tiny.gguf", testing::tiny_shape("llama biases")); }
    testing::Running start(const SessionShape& shape) {
        return testing::start_model(dir / "tiny.gguf", *backend, shape);
    }
    TempDir dir;
    std::unique_ptr<Backend> backend = make_ref_backend();
    std::vector<uint32_t> tokens = testing::tiny_tokens(60, kVocabulary, 5);
};

TEST(Extend, RowsAreThoseOfSingleSteps) {
    Fixture f;
    const SessionShape shape{.n_ctx = 64, .n_batch = 16, .max_outputs = 7, .kv_format = Format::f32};
    const auto expected =
        testing::all_logits(*f.start({.n_ctx = 64, .n_batch = 1, .kv_format = Format::f32}).session, f.tokens);
    const auto running = f.start(shape);
    Session& session = *running.session;
    uint32_t at = 0;
    for (const auto& [n, outputs] : {std::pair{16u, 0u}, {1u, 1u}, {7u, 7u}, {9u, 3u}, {16u, 7u}, {2u, 0u}, {3u, 1u}}) {
        ASSERT_TRUE(session.extend(std::span(f.tokens).subspan(at, n), outputs));
        at += n;
        EXPECT_EQ(session.tokens().size(), at);
        EXPECT_EQ(session.has_logits(), outputs > 0);
        if (outputs == 0) continue;
        const auto rows = session.logits_rows();
        ASSERT_EQ(rows.size(), uint64_t{outputs} * kVocabulary);
        EXPECT_EQ(testing::largest_difference(
                      rows, std::span(expected).subspan((at - outputs) * kVocabulary, outputs * kVocabulary)),
                  0);
        EXPECT_EQ(testing::largest_difference(session.logits(),
                                              std::span(expected).subspan((at - 1) * kVocabulary, kVocabulary)),
                  0);
    }
    EXPECT_EQ(session.extend(std::span(f.tokens).first(11), 0).error().code, ErrorCode::limit)
        << "no more than the context holds";
    EXPECT_EQ(session.extend(std::span(f.tokens).first(0), 0).error().code, ErrorCode::invalid_argument);
}

TEST(Extend, VerifyChoosesWhatTheSamplerChooses) {
    Fixture f;
    const SessionShape shape{.n_ctx = 64, .n_batch = 24, .max_outputs = 24, .kv_format = Format::f32};
    for (const float temperature : {0.0f, 0.8f, 2.0f}) {
        auto sampler =
            Sampler::create({.temperature = temperature, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 11}).value();
        const auto running = f.start(shape), single = f.start(shape);
        Session& session = *running.session;
        ASSERT_TRUE(session.sync(std::span(f.tokens).first(20)));
        ASSERT_TRUE(single.session->sync(std::span(f.tokens).first(20)));
        for (const uint32_t width : {1u, 5u, 2u, 17u}) {
            const auto at = static_cast<uint32_t>(session.tokens().size());
            ASSERT_LE(width, session.batch_invariant_width());
            std::vector<TokenId> choices(width), expected(width);
            EXPECT_TRUE(session.prepare_verify(width, true).value());
            EXPECT_FALSE(session.prepare_verify(width, true).value());
            ASSERT_TRUE(session.verify(std::span(f.tokens).subspan(at, width), sampler, choices));
            for (uint32_t i = 0; i < width; ++i) {
                ASSERT_TRUE(single.session->step(f.tokens[at + i]));
                expected[i] = sampler.sample(single.session->logits()).value();
                EXPECT_EQ(testing::largest_difference(session.logits_rows().subspan(i * kVocabulary, kVocabulary),
                                                      single.session->logits()),
                          0);
            }
            EXPECT_EQ(choices, expected) << width << " rows at temperature " << temperature;
        }
        // Rejected tokens are rolled back, and the same step is possible again.
        session.rewind(30);
        std::vector<TokenId> choices(3);
        ASSERT_TRUE(session.verify(std::span(f.tokens).subspan(30, 3), sampler, choices));
        EXPECT_EQ(session.tokens().size(), 33u);
    }
}

TEST(Extend, AStepNeverReachesIntoTheNextBucketOfContext) {
    TempDir dir;
    testing::write_tiny_model(dir / "tiny.gguf", testing::tiny_shape("llama"));
    const auto backend = make_ref_backend();
    const auto running = testing::start_model(
        dir / "tiny.gguf", *backend, {.n_ctx = 512, .n_batch = 64, .max_outputs = 24, .kv_format = Format::f32});
    Session& session = *running.session;
    const auto tokens = testing::tiny_tokens(512, kVocabulary, 1);
    for (const auto& [past, most] :
         {std::pair{0u, 24u}, {232u, 24u}, {233u, 23u}, {255u, 1u}, {256u, 24u}, {500u, 12u}, {511u, 1u}, {512u, 0u}}) {
        while (session.tokens().size() < past) {
            const auto at = session.tokens().size();
            ASSERT_TRUE(session.extend(std::span(tokens).subspan(at, std::min<size_t>(64, past - at)), 0));
        }
        EXPECT_EQ(session.batch_invariant_width(), most) << "after " << past;
    }
    const auto narrow = testing::start_model(dir / "tiny.gguf", *backend,
                                             {.n_ctx = 512, .n_batch = 64, .max_outputs = 3, .kv_format = Format::f32});
    EXPECT_EQ(narrow.session->batch_invariant_width(), 3u);
}

}  // namespace
}  // namespace atlas
