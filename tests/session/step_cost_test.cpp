// What a decode step asks of the backend: a few numbers into the step buffer, one run of a recorded program, nothing
// else.
#include <gtest/gtest.h>

#include "tests/support/run_logits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/support/watched_backend.h"

namespace atlas {
namespace {

using testing::WatchedBackend;

struct Fixture {
    Fixture() { testing::write_tiny_model(dir / "tiny.gguf", testing::tiny_shape("llama")); }
    testing::Running start(const SessionShape& shape) {
        return testing::start_model(dir / "tiny.gguf", backend, shape);
    }
    TempDir dir;
    WatchedBackend backend;
};

TEST(StepCost, AStepWritesTwentyBytesAndRuns) {
    Fixture f;
    const auto running = f.start({.n_ctx = 256, .n_batch = 16});
    ASSERT_TRUE(running.session->sync(testing::tiny_tokens(40, 97, 1)).has_value());
    ASSERT_TRUE(running.session->step(5).has_value());
    f.backend.counts = {};
    for (uint32_t i = 0; i < 20; ++i)
        ASSERT_TRUE(running.session->step(i).has_value());  // stays within the second page
    EXPECT_EQ(f.backend.counts.runs, 20);
    EXPECT_EQ(f.backend.counts.writes, 20);
    EXPECT_EQ(f.backend.counts.written_bytes, 20u * 20);
    EXPECT_EQ(f.backend.counts.allocations, 0);
    EXPECT_EQ(f.backend.counts.uploads, 0);
    EXPECT_EQ(f.backend.counts.recordings, 0);
}

TEST(StepCost, ANewPageIsOneMoreNumber) {
    Fixture f;
    const auto running = f.start({.n_ctx = 256, .n_batch = 64});
    ASSERT_TRUE(running.session->sync(testing::tiny_tokens(63, 97, 1)).has_value());
    ASSERT_TRUE(running.session->step(5).has_value());
    f.backend.counts = {};
    ASSERT_TRUE(running.session->step(6).has_value());
    EXPECT_EQ(f.backend.counts.writes, 2);
    EXPECT_EQ(f.backend.counts.written_bytes, 24u);
}

// A long timeline records its step again only when the number of keys doubles.
TEST(StepCost, RecordsOncePerDoublingOfTheContext) {
    Fixture f;
    const auto running = f.start({.n_ctx = 1024, .n_batch = 250});
    ASSERT_TRUE(running.session->sync(testing::tiny_tokens(250, 97, 1)).has_value());
    f.backend.counts = {};
    for (uint32_t i = 0; i < 10; ++i) ASSERT_TRUE(running.session->step(i).has_value());  // 250 .. 260 passes 256
    EXPECT_EQ(f.backend.counts.recordings, 2);
}

TEST(StepCost, EveryChunkOfALongPromptIsTheSameProgram) {
    Fixture f;
    const auto running = f.start({.n_ctx = 256, .n_batch = 16});
    f.backend.counts = {};
    ASSERT_TRUE(running.session->sync(testing::tiny_tokens(16 * 9, 97, 1)).has_value());
    EXPECT_EQ(f.backend.counts.runs, 9);
    EXPECT_EQ(f.backend.counts.recordings, 2) << "chunks without an output, and the last one with";
}

// More shapes than the cache of programs holds: the results stay right, and the oldest is recorded again.
TEST(StepCost, ManyShapesStayRight) {
    Fixture f;
    const auto tokens = testing::tiny_tokens(48, 97, 1);
    const auto running = f.start({.n_ctx = 64, .n_batch = 48, .kv_format = Format::f32});
    ASSERT_TRUE(running.session->sync(tokens).has_value());
    const std::vector<float> expected(running.session->logits().begin(), running.session->logits().end());
    f.backend.counts = {};
    for (int round = 0; round < 2; ++round) {
        for (uint32_t keep = 8; keep < 44; ++keep) {
            running.session->rewind(keep);
            ASSERT_TRUE(running.session->sync(tokens).has_value());
            ASSERT_EQ(testing::largest_difference(running.session->logits(), expected), 0) << "rewound to " << keep;
        }
    }
    EXPECT_EQ(f.backend.counts.recordings, 72) << "36 shapes in turn never stay in a cache of 32";
}

TEST(StepCost, ALostDeviceLeavesTheTimelineAsItWas) {
    Fixture f;
    const auto running = f.start({.n_ctx = 64, .n_batch = 16, .kv_format = Format::f32});
    Session& session = *running.session;
    ASSERT_TRUE(session.sync(testing::tiny_tokens(20, 97, 1)).has_value());
    const auto before = session.tokens();
    f.backend.fail_run = f.backend.counts.runs;
    const auto lost = session.step(7);
    ASSERT_FALSE(lost.has_value());
    EXPECT_EQ(lost.error().code, ErrorCode::device_lost);
    EXPECT_EQ(session.tokens(), before);
    EXPECT_FALSE(session.has_logits());
    // After a passing error of the device the same step would continue from there.
    ASSERT_TRUE(session.step(7).has_value());
    EXPECT_EQ(session.tokens().size(), 21u);
}

}  // namespace
}  // namespace atlas
