// A session must give the same logits no matter how its tokens got in: at once, in chunks, one by one, after a
// rewind.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/reference/ref_backend.h"
#include "tests/support/run_logits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace atlas {
namespace {

using testing::all_logits;
using testing::largest_difference;
using testing::start_model;

constexpr uint32_t kTokens = 75;  // three pages, the last one partly full

class SessionOf : public ::testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        shape_ = testing::tiny_shape(GetParam());
        testing::write_tiny_model(dir_ / "tiny.gguf", shape_);
        tokens_ = testing::tiny_tokens(kTokens, shape_.n_vocab, 7);
    }
    testing::Running start(const SessionShape& shape) { return start_model(dir_ / "tiny.gguf", *backend_, shape); }
    std::span<const float> row(const std::vector<float>& logits, uint32_t position) const {
        return std::span(logits).subspan(position * shape_.n_vocab, shape_.n_vocab);
    }

    TempDir dir_;
    testing::TinyShape shape_;
    std::vector<uint32_t> tokens_;
    std::unique_ptr<Backend> backend_ = make_ref_backend();
    SessionShape whole_{.n_ctx = 96, .n_batch = kTokens, .max_outputs = kTokens, .kv_format = Format::f32};
};

// Of earlier positions only few states are kept, of these short texts none on purpose.
bool has_states(const Session& session) {
    const auto& layers = session.model().config().layers;
    return std::any_of(layers.begin(), layers.end(), [](const LayerConfig& l) { return l.cache().state_bytes > 0; });
}

// The reference loops sum each row on its own, so equal means equal bits.
TEST_P(SessionOf, ChunksGiveTheSameAsTheWhole) {
    const auto expected = all_logits(*start(whole_).session, tokens_);
    for (uint32_t chunk : {1u, 2u, 7u, 32u, 33u}) {
        SessionShape shape = whole_;
        shape.n_batch = shape.max_outputs = chunk;
        EXPECT_EQ(largest_difference(all_logits(*start(shape).session, tokens_), expected), 0) << "chunks of " << chunk;
    }
}

// The rotation is orthogonal: scores stay what they were, and the output of attention is rotated back.
TEST_P(SessionOf, ARotatedCacheChangesNothingButRounding) {
    const auto expected = all_logits(*start(whole_).session, tokens_);
    for (const auto& [k, v] : {std::pair(true, false), {false, true}, {true, true}}) {
        SessionShape shape = whole_;
        shape.kv_format.rotate_k = k;
        shape.kv_format.rotate_v = v;
        const double difference = largest_difference(all_logits(*start(shape).session, tokens_), expected);
        EXPECT_LT(difference, 1e-4) << k << v;
        EXPECT_GT(difference, 0) << "nothing was rotated";
    }
}

TEST_P(SessionOf, SyncGivesTheLastRowInChunksOfAnySize) {
    const auto expected = all_logits(*start(whole_).session, tokens_);
    for (uint32_t chunk : {1u, 8u, 31u, kTokens}) {
        const auto running = start({.n_ctx = 96, .n_batch = chunk, .max_outputs = 1, .kv_format = Format::f32});
        ASSERT_TRUE(running.session->sync(tokens_).has_value());
        EXPECT_EQ(largest_difference(running.session->logits(), row(expected, kTokens - 1)), 0)
            << "chunks of " << chunk;
    }
}

TEST_P(SessionOf, StepsGiveTheSameAsTheWhole) {
    const auto expected = all_logits(*start(whole_).session, tokens_);
    const auto running = start({.n_ctx = 96, .n_batch = 16, .max_outputs = 1, .kv_format = Format::f32});
    for (uint32_t t = 0; t < kTokens; ++t) {
        ASSERT_TRUE(running.session->step(tokens_[t]).has_value());
        ASSERT_EQ(largest_difference(running.session->logits(), row(expected, t)), 0) << "position " << t;
    }
    EXPECT_EQ(running.session->tokens(), tokens_);
}

TEST_P(SessionOf, RewindAndOtherTokensLeaveNoTrace) {
    const auto running = start({.n_ctx = 96, .n_batch = 16, .max_outputs = 1, .kv_format = Format::f32});
    Session& session = *running.session;
    ASSERT_TRUE(session.sync(tokens_).has_value());
    const std::vector<float> expected(session.logits().begin(), session.logits().end());
    for (uint32_t keep : {74u, 64u, 63u, 33u, 1u, 0u}) {
        const uint32_t first = session.rewind(keep);
        EXPECT_TRUE(first == keep || (first < keep && has_states(session))) << first;
        EXPECT_FALSE(session.has_logits());
        for (uint32_t other : testing::tiny_tokens(12, shape_.n_vocab, keep))
            ASSERT_TRUE(session.step(other).has_value());
        const uint32_t kept = session.rewind(first);
        EXPECT_TRUE(kept == first || has_states(session)) << kept;
        for (uint32_t t = kept; t < kTokens; ++t) ASSERT_TRUE(session.step(tokens_[t]).has_value());
        EXPECT_EQ(largest_difference(session.logits(), expected), 0) << "rewound to " << keep;
    }
}

TEST_P(SessionOf, SyncReusesTheCommonStart) {
    const auto running = start({.n_ctx = 96, .n_batch = 16, .max_outputs = 1, .kv_format = Format::f32});
    Session& session = *running.session;
    EXPECT_EQ(session.sync(tokens_).value(), 0u);
    const std::vector<float> expected(session.logits().begin(), session.logits().end());
    EXPECT_EQ(session.sync(tokens_).value(), kTokens) << "the same again costs nothing";

    auto other = tokens_;
    other[40] = (other[40] + 1) % shape_.n_vocab;
    const auto reused = [&](uint32_t n) { return has_states(session) ? 0 : n; };
    EXPECT_EQ(session.sync(other).value(), reused(40));
    EXPECT_EQ(session.tokens(), other);
    EXPECT_GT(largest_difference(session.logits(), expected), 1e-3f);
    EXPECT_EQ(session.sync(tokens_).value(), reused(40));
    EXPECT_EQ(largest_difference(session.logits(), expected), 0);

    // A prefix of the cached tokens: its last token runs again, because its logits are gone.
    const std::span<const uint32_t> start_of(tokens_.data(), 50);
    EXPECT_EQ(session.sync(start_of).value(), reused(49));
    EXPECT_EQ(session.tokens().size(), 50u);
    EXPECT_EQ(session.sync(tokens_).value(), 50u);
    EXPECT_EQ(largest_difference(session.logits(), expected), 0);
}

TEST_P(SessionOf, HalfPrecisionCacheIsNear) {
    const auto expected = all_logits(*start(whole_).session, tokens_);
    SessionShape half = whole_;
    half.kv_format = Format::f16;
    const float difference = largest_difference(all_logits(*start(half).session, tokens_), expected);
    EXPECT_GT(difference, 0);
    EXPECT_LT(difference, 0.05f);
}

// RefOps aborts when a pass takes more scratch than was planned, so running at the planned size is half of this test.
TEST_P(SessionOf, PlannedScratchIsEnoughAndNotMuchMore) {
    for (uint32_t batch : {1u, 5u, 64u}) {
        const auto running = start({.n_ctx = 96, .n_batch = batch, .max_outputs = 1, .kv_format = Format::f32});
        ASSERT_TRUE(running.session->sync(tokens_).has_value());
        const uint64_t q_width = shape_.n_head * shape_.head_dim;
        const uint64_t everything_at_once =
            4ull * batch * (5 * shape_.n_embd + 5 * q_width + 4 * shape_.n_ff) + 64 * 1024;
        EXPECT_LT(running.session->plan().scratch_bytes, everything_at_once);
    }
}

std::vector<std::string> every_architecture() {
    std::vector<std::string> words;
    for (const Architecture* architecture : runnable_architectures()) {
        words.push_back(std::string(architecture->name) + " biases");
        words.push_back(std::string(architecture->name) + " tied whole q8_0");
    }
    return words;
}

INSTANTIATE_TEST_SUITE_P(EveryArchitecture, SessionOf, ::testing::ValuesIn(every_architecture()),
                         [](const auto& param) {
                             std::string name = param.param;
                             const auto joins = [](char c) { return c == ' ' || c == '-'; };
                             std::replace_if(name.begin(), name.end(), joins, '_');
                             return name;
                         });

struct Fixture {
    Fixture() { testing::write_tiny_model(dir / "tiny.gguf", testing::tiny_shape("llama")); }
    testing::Running start(const SessionShape& shape) { return start_model(dir / "tiny.gguf", *backend, shape); }
    TempDir dir;
    std::unique_ptr<Backend> backend = make_ref_backend();
};

TEST(Session, RefusesWhatDoesNotFit) {
    Fixture f;
    const auto running = f.start({.n_ctx = 64, .n_batch = 16});
    Session& session = *running.session;
    const auto too_many = session.sync(testing::tiny_tokens(65, 97, 1));
    ASSERT_FALSE(too_many.has_value());
    EXPECT_EQ(too_many.error().code, ErrorCode::limit);
    EXPECT_NE(too_many.error().message.find("65"), std::string::npos) << too_many.error().message;
    EXPECT_NE(too_many.error().message.find("64"), std::string::npos) << too_many.error().message;

    ASSERT_TRUE(session.sync(testing::tiny_tokens(64, 97, 1)).has_value());
    const auto one_more = session.step(3);
    ASSERT_FALSE(one_more.has_value());
    EXPECT_EQ(one_more.error().code, ErrorCode::limit);
    EXPECT_EQ(session.tokens().size(), 64u);
}

TEST(Session, RefusesNoTokensAndUnknownOnes) {
    Fixture f;
    const auto running = f.start({.n_ctx = 64, .n_batch = 16});
    EXPECT_EQ(running.session->sync({}).error().code, ErrorCode::invalid_argument);
    const auto unknown = running.session->sync(std::vector<uint32_t>{1, 2, 97});
    ASSERT_FALSE(unknown.has_value());
    EXPECT_NE(unknown.error().message.find("97"), std::string::npos);
    EXPECT_NE(unknown.error().message.find("position 2"), std::string::npos) << unknown.error().message;
}

TEST(Session, StopsBetweenChunksAndGoesOnLater) {
    Fixture f;
    const auto running = f.start({.n_ctx = 64, .n_batch = 16});
    const auto tokens = testing::tiny_tokens(60, 97, 1);
    std::stop_source source;
    uint32_t n_chunks = 0;
    const auto count = [&](uint32_t done, uint32_t total) {
        EXPECT_EQ(total, 60u);
        ++n_chunks;
        if (done == 32) source.request_stop();
    };
    const auto stopped = running.session->sync(tokens, {.stop = source.get_token(), .progress = count});
    ASSERT_FALSE(stopped.has_value());
    EXPECT_EQ(stopped.error().code, ErrorCode::cancelled);
    EXPECT_EQ(n_chunks, 2u);
    EXPECT_EQ(running.session->tokens().size(), 32u);
    EXPECT_EQ(running.session->sync(tokens).value(), 32u);

    const auto fresh = f.start({.n_ctx = 64, .n_batch = 64});
    ASSERT_TRUE(fresh.session->sync(tokens).has_value());
    EXPECT_EQ(largest_difference(running.session->logits(), fresh.session->logits()), 0);
}

TEST(Session, SinkFailureStopsLogitsOfAll) {
    Fixture f;
    const auto running = f.start({.n_ctx = 64, .n_batch = 16, .max_outputs = 16});
    uint32_t calls = 0;
    const auto refuse = [&](uint32_t, std::span<const float>) -> Result<void> {
        ++calls;
        return fail(ErrorCode::io, "disk full");
    };
    const auto done = running.session->logits_of_all(testing::tiny_tokens(40, 97, 1), refuse);
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(done.error().message, "disk full");
    EXPECT_EQ(calls, 1u);
}

}  // namespace
}  // namespace atlas
