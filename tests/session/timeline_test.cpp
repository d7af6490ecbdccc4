// Timelines that share pages: each gives the logits of a session of its own, whatever the others do.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "tests/reference/ref_backend.h"
#include "tests/support/run_batch.h"
#include "tests/support/temp_dir.h"

namespace atlas {
namespace {

using testing::largest_difference;
using testing::run_tokens;

class Timelines : public ::testing::Test {
  protected:
    Timelines() { testing::write_tiny_model(dir_ / "tiny.gguf", testing::smallest_shape()); }
    void start(const SessionShape& shape) {
        batch_ = testing::start_batch(dir_ / "tiny.gguf", *backend_, shape);
        fresh_ = std::make_unique<testing::FreshPrefill>(dir_ / "tiny.gguf", *backend_, 256, shape.kv_format);
    }
    KvPool& pool() { return batch_.runner->pool(); }
    std::vector<TokenId> tokens(uint32_t n, uint64_t seed = 5) const { return testing::tiny_tokens(n, 13, seed); }
    static std::vector<TokenId> join(std::vector<TokenId> a, const std::vector<TokenId>& b) {
        a.insert(a.end(), b.begin(), b.end());
        return a;
    }

    TempDir dir_;
    std::unique_ptr<Backend> backend_ = make_ref_backend();
    testing::RunningBatch batch_;
    std::unique_ptr<testing::FreshPrefill> fresh_;
    SessionShape shape_{.pool_tokens = 512,
                        .n_ctx = 256,
                        .n_batch = 64,
                        .max_outputs = 16,
                        .max_timelines = 4,
                        .kv_format = Format::f32};
};

TEST_F(Timelines, ForksShareFullPagesAndCopyTheLastOne) {
    start(shape_);
    Timeline first(pool());
    run_tokens(*batch_.runner, first, tokens(40));
    EXPECT_EQ(pool().n_in_use(), 2u);
    Timeline second = first.fork();
    Timeline third = first.fork();
    EXPECT_EQ(pool().n_in_use(), 2u) << "a fork takes no page";
    EXPECT_EQ(run_tokens(*batch_.runner, second, {1, 2}), fresh_->logits(join(tokens(40), {1, 2})));
    EXPECT_EQ(run_tokens(*batch_.runner, third, {3}), fresh_->logits(join(tokens(40), {3})));
    EXPECT_EQ(pool().n_copied_pages(), 2u) << "only the page that is partly full";
    EXPECT_EQ(pool().n_in_use(), 4u);
    EXPECT_EQ(run_tokens(*batch_.runner, first, {4}), fresh_->logits(join(tokens(40), {4})));
    EXPECT_EQ(pool().n_copied_pages(), 2u) << "the last reader writes in place";
    EXPECT_EQ(first.pages()[0], third.pages()[0]);
    EXPECT_NE(first.pages()[1], third.pages()[1]);
    for (Timeline* timeline : {&first, &second, &third}) timeline->clear();
    EXPECT_EQ(pool().n_in_use(), 0u);
    EXPECT_EQ(pool().n_kept(), 1u) << "the full page";
}

TEST_F(Timelines, StepsOfSeveralAreStepsOfEach) {
    start(shape_);
    std::vector<Timeline> timelines;
    for (uint32_t i = 0; i < 4; ++i) {
        timelines.emplace_back(pool());
        run_tokens(*batch_.runner, timelines[i], tokens(20 + 13 * i, i));
    }
    // A prefill chunk, one decode, a verify of three and tokens without logits, in one step.
    const std::vector<std::vector<TokenId>> more{tokens(30, 77), {5}, {6, 7, 8}, {9, 10}};
    const std::vector<uint32_t> n_outputs{1, 1, 3, 0};
    std::vector<StepItem> items;
    for (uint32_t i = 0; i < 4; ++i) {
        ASSERT_TRUE(timelines[i].reserve(static_cast<uint32_t>(more[i].size())).value());
        items.push_back({&timelines[i], more[i], n_outputs[i]});
    }
    const auto ran = batch_.runner->run(items);
    ASSERT_TRUE(ran.has_value()) << ran.error().message;
    for (uint32_t i = 0; i < 4; ++i) {
        const auto rows = batch_.runner->logits(i);
        ASSERT_EQ(rows.size(), n_outputs[i] * 13u);
        for (uint32_t r = 0; r < n_outputs[i]; ++r) {
            auto all = join(tokens(20 + 13 * i, i), more[i]);
            all.resize(all.size() - (n_outputs[i] - 1 - r));
            EXPECT_EQ(largest_difference(rows.subspan(r * 13, 13), fresh_->logits(all)), 0)
                << "timeline " << i << " row " << r;
        }
    }
}

TEST_F(Timelines, RowsOfAnyMixtureOfTokensAndOutputs) {
    start(shape_);
    for (const uint32_t n_tokens : {1u, 2u, 4u, 8u, 9u, 11u, 16u, 17u, 33u}) {
        for (uint32_t n_outputs = 0; n_outputs <= std::min(n_tokens, 16u); ++n_outputs) {
            Timeline timeline(pool());
            const auto rows = run_tokens(*batch_.runner, timeline, tokens(n_tokens, 3), n_outputs);
            for (uint32_t r = 0; r < n_outputs; ++r) {
                auto all = tokens(n_tokens, 3);
                all.resize(n_tokens - (n_outputs - 1 - r));
                ASSERT_EQ(largest_difference(std::span(rows).subspan(r * 13, 13), fresh_->logits(all)), 0)
                    << n_tokens << " tokens, row " << r << " of " << n_outputs;
            }
        }
    }
    EXPECT_GT(batch_.runner->counts().padded_tokens, 0u);
}

TEST_F(Timelines, TheLongestPrefixInMemoryIsReused) {
    start(shape_);
    const auto text = tokens(110);
    {
        Timeline gone(pool());
        run_tokens(*batch_.runner, gone, {text.begin(), text.begin() + 60});
        run_tokens(*batch_.runner, gone, {text.begin() + 60, text.begin() + 100});
    }
    EXPECT_EQ(pool().n_in_use(), 0u);
    Timeline again(pool());
    EXPECT_EQ(again.reuse(text), 96u) << "three full pages";
    EXPECT_EQ(run_tokens(*batch_.runner, again, {text.begin() + 96, text.end()}), fresh_->logits(text));

    auto other = text;
    other[70] = (other[70] + 1) % 13;
    Timeline branch(pool());
    EXPECT_EQ(branch.reuse(other), 64u);
    run_tokens(*batch_.runner, branch, {other.begin() + 64, other.begin() + 100});
    EXPECT_EQ(run_tokens(*batch_.runner, branch, {other.begin() + 100, other.end()}), fresh_->logits(other));

    Timeline exact(pool());
    EXPECT_EQ(exact.reuse(std::span(text).first(96)), 64u) << "the last token must run for its logits";
    Timeline none(pool());
    EXPECT_EQ(none.reuse(tokens(50, 99)), 0u);
}

TEST_F(Timelines, EqualPagesComputedTwiceAreHeldOnce) {
    start(shape_);
    const auto text = tokens(70);
    Timeline a(pool()), b(pool());
    ASSERT_TRUE(a.reserve(64).value() && b.reserve(64).value());
    run_tokens(*batch_.runner, a, {text.begin(), text.begin() + 64});
    run_tokens(*batch_.runner, b, {text.begin(), text.begin() + 64});
    EXPECT_EQ(pool().n_in_use(), 2u);
    EXPECT_EQ(run_tokens(*batch_.runner, b, {text.begin() + 64, text.end()}), fresh_->logits(text));
    a.clear();
    EXPECT_EQ(run_tokens(*batch_.runner, b, {1}), fresh_->logits(join(text, {1})));
}

TEST_F(Timelines, KeptPagesGoLongestUnusedFirstAndFromTheEnd) {
    shape_.pool_tokens = 6 * kPageTokens;
    start(shape_);
    for (const uint64_t seed : {1, 2}) {
        Timeline timeline(pool());
        run_tokens(*batch_.runner, timeline, tokens(64, seed));
    }
    EXPECT_EQ(pool().n_kept(), 4u);
    {
        Timeline first(pool());  // is used again: the second text is the oldest now
        EXPECT_EQ(first.reuse(tokens(65, 1)), 64u);
    }
    Timeline third(pool());
    ASSERT_TRUE(third.reserve(3 * kPageTokens).value()) << "two free pages and one that was kept";
    Timeline look(pool());
    EXPECT_EQ(look.reuse(tokens(65, 2)), 32u) << "its beginning is still there";
    look.clear();
    EXPECT_EQ(look.reuse(tokens(65, 1)), 64u);
    EXPECT_FALSE(third.reserve(5 * kPageTokens).value()) << "two of six pages are read";
    EXPECT_EQ(look.tokens().size(), 64u);
}

TEST_F(Timelines, AFullPoolRefusesAndNothingChanges) {
    shape_.pool_tokens = 2 * kPageTokens;
    start(shape_);
    Timeline a(pool());
    run_tokens(*batch_.runner, a, tokens(40));
    Timeline b = a.fork();
    EXPECT_FALSE(b.reserve(1).value()) << "there is no page for the copy of the last page";
    EXPECT_EQ(pool().n_in_use(), 2u);
    EXPECT_FALSE(a.reserve(1).value());
    b.clear();
    EXPECT_TRUE(a.reserve(24).value());
    EXPECT_FALSE(a.reserve(25).value());
    EXPECT_EQ(run_tokens(*batch_.runner, a, {1}), fresh_->logits(join(tokens(40), {1})));
}

TEST_F(Timelines, RewoundPagesAreWrittenAgain) {
    start(shape_);
    const auto text = tokens(100);
    Timeline timeline(pool());
    run_tokens(*batch_.runner, timeline, {text.begin(), text.begin() + 64});
    run_tokens(*batch_.runner, timeline, {text.begin() + 64, text.end()});
    for (const uint32_t keep : {99u, 96u, 95u, 64u, 33u, 1u, 0u}) {
        timeline.rewind(keep);
        EXPECT_EQ(pool().n_in_use(), pages_for(keep));
        auto expected = join({text.begin(), text.begin() + keep}, {11, 12});
        EXPECT_EQ(run_tokens(*batch_.runner, timeline, {11, 12}), fresh_->logits(expected)) << keep;
        timeline.rewind(keep);
        // Earlier contents may still be in memory or not; either way the result is the same.
        timeline.reuse(text);
        const auto n = ptrdiff_t(timeline.tokens().size());
        for (ptrdiff_t at = n; at < 100; at += 50) {
            const auto rows = run_tokens(*batch_.runner, timeline,
                                         {text.begin() + at, text.begin() + std::min<ptrdiff_t>(at + 50, 100)});
            if (at + 50 < 100) continue;
            EXPECT_EQ(rows, fresh_->logits(text)) << keep;
        }
    }
}

TEST(SiphashTest, PublishedValue) {
    // The paper's appendix: key 00 01 .. 0f, message 00 01 .. 0e gives a129ca6149be45e5. Our messages are an 8-byte
    // number and 4-byte words, so of 16 bytes: the value of the authors' reference for 00 .. 0f.
    const HashSecret secret{0x0706050403020100, 0x0f0e0d0c0b0a0908};
    const std::vector<uint32_t> words{0x0b0a0908, 0x0f0e0d0c};
    EXPECT_EQ(keyed_hash(secret, 0x0706050403020100, words), 0x3f2acc7f57c29bdbu);
    EXPECT_NE(keyed_hash({1, 2}, 0, words), keyed_hash({1, 3}, 0, words));
}

// "fork and rewind under 0.1 ms": page numbers and tokens are copied, no keys. Wall clock of the fastest of several,
// because the machine may be busy.
TEST_F(Timelines, ForkAndRewindAreCheap) {
    shape_.pool_tokens = shape_.n_ctx = 32 * 1024;
    start(shape_);
    Timeline timeline(pool());
    for (int i = 0; i < 32; ++i) {  // pages of a long text; their contents do not matter here
        const auto chunk = tokens(1000, i);
        ASSERT_TRUE(timeline.reserve(1000).value());
        timeline.append(chunk);
    }
    double fork_ms = 1e9, rewind_ms = 1e9;
    for (int i = 0; i < 20; ++i) {
        const auto start = std::chrono::steady_clock::now();
        Timeline twin = timeline.fork();
        const auto forked = std::chrono::steady_clock::now();
        twin.rewind(7);
        const auto rewound = std::chrono::steady_clock::now();
        fork_ms = std::min(fork_ms, std::chrono::duration<double, std::milli>(forked - start).count());
        rewind_ms = std::min(rewind_ms, std::chrono::duration<double, std::milli>(rewound - forked).count());
    }
    RecordProperty("fork_us", std::to_string(fork_ms * 1000));
    RecordProperty("rewind_us", std::to_string(rewind_ms * 1000));
    EXPECT_LT(fork_ms, 0.1);
    EXPECT_LT(rewind_ms, 0.1);
}

}  // namespace
}  // namespace atlas
