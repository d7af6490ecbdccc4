// Snapshots are restored as they were, or are refused.
#include "runtime/session/cache/snapshot.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <random>

#include "runtime/base/sha256.h"
#include "tests/reference/ref_backend.h"
#include "tests/support/run_batch.h"
#include "tests/support/temp_dir.h"
#include "tests/support/watched_backend.h"

namespace atlas {
namespace {

using testing::run_tokens;

class Snapshots : public ::testing::Test {
  protected:
    Snapshots() { testing::write_tiny_model(dir_ / "tiny.gguf", testing::smallest_shape()); }
    testing::RunningBatch start(Backend& backend, KvFormats formats = Format::f32, const char* name = "tiny.gguf") {
        return testing::start_batch(
            dir_ / name, backend,
            {.pool_tokens = 256, .n_batch = 64, .max_outputs = 4, .max_timelines = 2, .kv_format = formats});
    }
    static std::string refusal(KvPool& pool, std::span<const std::byte> bytes, ErrorCode code) {
        const uint32_t available = pool.n_available();
        const auto timeline = restore(pool, bytes);
        EXPECT_FALSE(timeline.has_value());
        if (timeline) return "";
        EXPECT_EQ(timeline.error().code, code) << timeline.error().message;
        EXPECT_EQ(pool.n_available(), available);
        return timeline.error().message;
    }

    TempDir dir_;
    std::unique_ptr<Backend> backend_ = make_ref_backend();
    std::vector<TokenId> text_ = testing::tiny_tokens(75, 13, 4);
};

// A session with another context would go on with keys that other factors have rotated.
TEST_F(Snapshots, AreRefusedWhereTheContextChoosesTheRope) {
    testing::write_tiny_model(dir_ / "long.gguf", testing::tiny_shape("phi3 longrope"));
    auto batch = start(*backend_, Format::f32, "long.gguf");
    Timeline timeline(batch.runner->pool());
    run_tokens(*batch.runner, timeline, {text_.begin(), text_.begin() + 40});
    const auto bytes = snapshot(timeline);
    ASSERT_FALSE(bytes.has_value());
    EXPECT_EQ(bytes.error().code, ErrorCode::unsupported);
    EXPECT_NE(bytes.error().message.find("phi3"), std::string::npos) << bytes.error().message;
}

TEST_F(Snapshots, ComeBackInTheSamePoolAndInAnother) {
    for (const uint32_t n : {0u, 1u, 32u, 33u, 64u}) {
        auto batch = start(*backend_), other = start(*backend_);
        Timeline timeline(batch.runner->pool());
        if (n > 0) run_tokens(*batch.runner, timeline, {text_.begin(), text_.begin() + n});
        const auto bytes = snapshot(timeline);
        ASSERT_TRUE(bytes.has_value()) << bytes.error().message;
        const auto expected = run_tokens(*batch.runner, timeline, {7});
        for (StepRunner* runner : {batch.runner.get(), other.runner.get()}) {
            auto back = restore(runner->pool(), *bytes);
            ASSERT_TRUE(back.has_value()) << back.error().message;
            EXPECT_EQ(back->tokens().size(), n);
            EXPECT_EQ(run_tokens(*runner, *back, {7}), expected) << n << " tokens";
        }
    }
}

TEST_F(Snapshots, FilesAreWholeOrNotThere) {
    auto batch = start(*backend_);
    Timeline timeline(batch.runner->pool());
    run_tokens(*batch.runner, timeline, {text_.begin(), text_.begin() + 40});
    ASSERT_TRUE(save_timeline(timeline, dir_ / "a.kv").has_value());
    const auto expected = run_tokens(*batch.runner, timeline, {7});
    timeline.clear();
    batch.runner->pool().forget_kept();
    auto back = load_timeline(batch.runner->pool(), dir_ / "a.kv");
    ASSERT_TRUE(back.has_value()) << back.error().message;
    EXPECT_EQ(run_tokens(*batch.runner, *back, {7}), expected);

    const auto missing = load_timeline(batch.runner->pool(), dir_ / "b.kv");
    EXPECT_EQ(missing.error().code, ErrorCode::not_found);
    EXPECT_FALSE(save_timeline(*back, dir_ / "no folder" / "a.kv").has_value());
    std::ofstream(dir_ / "empty.kv").close();
    const auto empty = load_timeline(batch.runner->pool(), dir_ / "empty.kv");
    EXPECT_EQ(empty.error().code, ErrorCode::corrupt);
    EXPECT_NE(empty.error().message.find("empty.kv"), std::string::npos);
}

TEST_F(Snapshots, AreRefusedElsewhere) {
    auto batch = start(*backend_);
    Timeline timeline(batch.runner->pool());
    run_tokens(*batch.runner, timeline, {text_.begin(), text_.begin() + 40});
    const auto bytes = snapshot(timeline).value();
    auto half = start(*backend_, Format::f16), half_values = start(*backend_, {Format::f32, Format::f16});
    EXPECT_NE(
        refusal(half.runner->pool(), bytes, ErrorCode::invalid_argument).find("keys: it has f32, this session has f16"),
        std::string::npos);
    EXPECT_NE(refusal(half_values.runner->pool(), bytes, ErrorCode::invalid_argument).find("values"),
              std::string::npos);

    auto shape = testing::smallest_shape();
    shape.seed = 2;  // a fine-tuning: the same shapes, other weights
    testing::write_tiny_model(dir_ / "other.gguf", shape);
    auto other = start(*backend_, Format::f32, "other.gguf");
    EXPECT_NE(refusal(other.runner->pool(), bytes, ErrorCode::invalid_argument).find("another model"),
              std::string::npos);

    auto small = testing::start_batch(
        dir_ / "tiny.gguf", *backend_,
        {.pool_tokens = 32, .n_batch = 16, .max_outputs = 1, .max_timelines = 1, .kv_format = Format::f32});
    EXPECT_NE(refusal(small.runner->pool(), bytes, ErrorCode::out_of_memory).find("2 more pages"), std::string::npos);
}

// Every byte counts: a change of any one, and any cut, is refused.
TEST_F(Snapshots, DamageIsRefused) {
    auto batch = start(*backend_);
    KvPool& pool = batch.runner->pool();
    Timeline timeline(pool);
    run_tokens(*batch.runner, timeline, {text_.begin(), text_.begin() + 40});
    const auto bytes = snapshot(timeline).value();
    timeline.clear();
    pool.forget_kept();
    for (size_t at = 0; at < bytes.size(); at += at < 400 ? 1 : 7) {
        auto damaged = bytes;
        damaged[at] ^= std::byte(1 << at % 8);
        const auto back = restore(pool, damaged);
        ASSERT_FALSE(back.has_value()) << "byte " << at;
        ASSERT_TRUE(back.error().code == ErrorCode::corrupt || back.error().code == ErrorCode::unsupported)
            << at << ": " << back.error().message;
    }
    for (size_t n = 0; n < bytes.size(); n += n < 400 ? 1 : 13)
        refusal(pool, std::span(bytes).first(n), ErrorCode::corrupt);
    auto longer = bytes;
    longer.resize(bytes.size() + 100);
    refusal(pool, longer, ErrorCode::corrupt);
    EXPECT_EQ(pool.n_in_use(), 0u);
}

// Wrong headers with a right checksum: lengths are checked before they are used.
TEST_F(Snapshots, LyingHeadersAreRefused) {
    auto batch = start(*backend_);
    KvPool& pool = batch.runner->pool();
    Timeline timeline(pool);
    run_tokens(*batch.runner, timeline, {text_.begin(), text_.begin() + 40});
    const auto bytes = snapshot(timeline).value();
    timeline.clear();
    const auto sealed = [](std::vector<std::byte> lie) {
        Sha256 hash;
        hash.add(lie.data(), lie.size() - 64);
        const std::string digits = hash.hexadecimal();
        std::memcpy(lie.data() + lie.size() - 64, digits.data(), 64);
        return lie;
    };
    ASSERT_TRUE(restore(pool, sealed(bytes)).has_value());
    std::mt19937 random(3);
    int refused = 0;
    for (int i = 0; i < 3000; ++i) {
        auto lie = bytes;
        for (size_t n = 1 + random() % 3; n > 0; --n) lie[random() % 136] = std::byte(random() % 256);
        if (random() % 2 == 0) lie.resize(136 + 64 + random() % bytes.size());
        const bool is_true = lie == bytes;
        const auto back = restore(pool, sealed(std::move(lie)));
        refused += back.has_value() == is_true ? 1 : 0;
    }
    EXPECT_EQ(refused, 3000);
    auto wrong_token = bytes;
    wrong_token[136 + 1] = std::byte(1);
    EXPECT_NE(refusal(pool, sealed(wrong_token), ErrorCode::corrupt).find("vocabulary"), std::string::npos);
    EXPECT_EQ(pool.n_in_use(), 0u);
}

TEST_F(Snapshots, ALostDeviceLeavesNothingBehind) {
    testing::WatchedBackend watched;
    auto batch = start(watched);
    KvPool& pool = batch.runner->pool();
    Timeline timeline(pool);
    run_tokens(*batch.runner, timeline, {text_.begin(), text_.begin() + 40});
    const auto bytes = snapshot(timeline).value();
    timeline.clear();
    pool.forget_kept();
    watched.fail_run = watched.counts.runs + 1;  // the second page
    EXPECT_FALSE(restore(pool, bytes).has_value());
    EXPECT_EQ(pool.n_available(), pool.n_pages());
    EXPECT_EQ(pool.n_kept(), 0u);
}

}  // namespace
}  // namespace atlas
