// Draft tokens of a draft model and their verify step in one submission: the same answers as in several submissions
// and without draft tokens.
#include <gtest/gtest.h>

#include "runtime/session/speculation/draft_model.h"
#include "runtime/session/speculation/lookup.h"
#include "runtime/session/speculation/speculation.h"
#include "tests/support/draft_models.h"
#include "tests/support/run_batch.h"
#include "tests/support/temp_dir.h"
#include "tests/support/watched_backend.h"

namespace atlas {
namespace {

using Submission = DraftModel::Submission;

class DraftSubmission : public ::testing::Test {
  protected:
    void SetUp() override {
        testing::write_draft_models(dir_);
        use("large.gguf", 96);
    }
    void use(const char* name, uint32_t n_ctx) {
        target_ = testing::start_model(dir_ / name, backend_,
                                       {.n_ctx = n_ctx, .n_batch = 24, .max_outputs = 24, .kv_format = Format::f32});
    }
    Speculators drafted_by(const char* name, uint32_t width, Submission submission, uint32_t n_ctx = 96,
                           bool with_lookup = false) {
        return drafted_on(backend_, name, width, submission, n_ctx, with_lookup);
    }
    Speculators drafted_on(Backend& backend, const char* name, uint32_t width, Submission submission, uint32_t n_ctx,
                           bool with_lookup) {
        std::vector<std::unique_ptr<Speculator>> who;
        if (with_lookup) who.push_back(std::make_unique<LookupSpeculator>());
        auto model =
            testing::start_draft(dir_ / name, backend, {.n_ctx = n_ctx, .n_batch = 24, .kv_format = Format::f32},
                                 target_.model->config().n_vocab);
        draft_ = model.get();
        model->submit_as(submission);
        who.push_back(std::move(model));
        Speculators speculators(std::move(who), 23);
        speculators.length().fix_width(width);
        return speculators;
    }
    Sampler start(uint64_t seed, float temperature) {
        target_.session->rewind(0);
        ATLAS_CHECK(target_.session->sync(testing::tiny_tokens(10, 60, seed)).has_value(), "sync");
        return Sampler::create({.temperature = temperature, .seed = seed}).value();
    }
    std::vector<TokenId> plain(uint64_t seed, float temperature, uint32_t n) {
        Sampler sampler = start(seed, temperature);
        std::vector<TokenId> tokens;
        for (uint32_t i = 0; i < n; ++i) {
            if (i > 0) ATLAS_CHECK(target_.session->step(tokens.back()).has_value(), "step");
            tokens.push_back(sampler.sample(target_.session->logits()).value());
        }
        return tokens;
    }
    /// `between` is called before every token.
    std::vector<TokenId> drafted(uint64_t seed, float temperature, uint32_t n, Speculators& speculators,
                                 const std::function<void(uint32_t)>& between = {}) {
        Sampler sampler = start(seed, temperature);
        SpeculativeDecoder decoder(*target_.session, sampler, speculators, true);
        const auto started = decoder.start();
        ATLAS_CHECK(started.has_value(), "start");
        std::vector<TokenId> tokens;
        for (uint32_t i = 0; i < n; ++i) {
            if (between) between(i);
            const auto token = decoder.next(n - 1 - i);
            ATLAS_CHECK(token.has_value(), "{}", token.error().message);
            tokens.push_back(*token);
        }
        figures_ = decoder.figures();
        return tokens;
    }
    TempDir dir_;
    testing::WatchedBackend backend_;
    testing::Running target_;
    DraftModel* draft_ = nullptr;
    SpeculationFigures figures_;
};

TEST_F(DraftSubmission, ABlockIsOneSubmissionAndOneWait) {
    Speculators one = drafted_by("large.gguf", 4, Submission::one);
    const auto answer = drafted(3, 0, 41, one);
    EXPECT_EQ(answer, plain(3, 0, 41));
    EXPECT_EQ(figures_.n_joined, figures_.n_blocks);
    EXPECT_EQ(figures_.n_accepted, figures_.n_draft_tokens) << "the model drafts for itself";

    // Once everything is recorded and the first plain tokens are over, there are only blocks.
    uint64_t blocks = 0;
    testing::WatchedBackend::Counts before;
    Sampler sampler = start(3, 0);
    SpeculativeDecoder decoder(*target_.session, sampler, one, true);
    ASSERT_TRUE(decoder.start());
    for (uint32_t i = 0; i < 40; ++i) {
        if (i == 8) before = backend_.counts, blocks = decoder.figures().n_blocks;
        ASSERT_TRUE(decoder.next(60));
    }
    blocks = decoder.figures().n_blocks - blocks;
    ASSERT_GE(blocks, 7u);
    EXPECT_EQ(uint64_t(backend_.counts.runs - before.runs), blocks) << "submissions";
    EXPECT_EQ(uint64_t(backend_.counts.waits - before.waits), blocks);
    EXPECT_EQ(backend_.counts.allocations, before.allocations);
}

TEST_F(DraftSubmission, TheAnswerIsTheSameInOneAndInSeveral) {
    uint64_t n_accepted = 0, n_draft_tokens = 0;
    for (const char* name : {"small.gguf", "narrow.gguf", "large.gguf"}) {
        for (const uint32_t width : {2u, 8u, 24u}) {
            Speculators one = drafted_by(name, width, Submission::one, 96, width == 8);
            Speculators apart = drafted_by(name, width, Submission::apart, 96, width == 8);
            const float temperature = width == 24 ? 0.0f : 0.8f;
            const auto expected = plain(width, temperature, 40);
            EXPECT_EQ(drafted(width, temperature, 40, apart), expected) << name << ", width " << width;
            EXPECT_EQ(figures_.n_joined, 0u);
            EXPECT_EQ(drafted(width, temperature, 40, one), expected) << name << ", width " << width;
            n_accepted += figures_.n_accepted;
            n_draft_tokens += figures_.n_draft_tokens;
            // The narrow model stops at the first token that it does not know.
            EXPECT_TRUE(figures_.n_joined > 0 || std::string_view(name) == "narrow.gguf")
                << name << ", width " << width;
        }
    }
    EXPECT_GT(n_accepted, 40u);
    EXPECT_LT(n_accepted, n_draft_tokens);
}

// The target's table has 60 rows and the draft model knows 97 tokens: the others are never chosen, or the step would
// be refused.
TEST_F(DraftSubmission, WhatTheTargetDoesNotKnowIsNeverProposed) {
    use("narrow.gguf", 96);
    Speculators one = drafted_by("large.gguf", 8, Submission::one);
    for (uint64_t seed = 1; seed < 6; ++seed) {
        const auto expected = plain(seed, 0.8f, 60);
        EXPECT_EQ(drafted(seed, 0.8f, 60, one), expected);
        EXPECT_GT(figures_.n_joined, 3u);
    }
}

TEST_F(DraftSubmission, TheContextEndsInsideABlock) {
    for (const uint32_t n_draft : {32u, 33u, 40u, 96u}) {
        Speculators one = drafted_by("large.gguf", 8, Submission::one, n_draft);
        const auto expected = plain(5, 0, 86);
        EXPECT_EQ(drafted(5, 0, 86, one), expected) << "the draft holds " << n_draft;
        EXPECT_GT(figures_.n_joined, 0u);
        EXPECT_LE(target_.session->tokens().size(), 96u);
    }
}

// With plain steps in between, the draft model has more tokens to catch up with than a short step holds.
TEST_F(DraftSubmission, AfterALongPause) {
    use("large.gguf", 160);
    Speculators one = drafted_by("small.gguf", 4, Submission::one, 160);
    for (const uint32_t pause : {2u, 5u, 23u, 24u, 25u, 26u, 40u}) {
        const auto expected = plain(7, 0.8f, pause + 60);
        const auto pausing = [&](uint32_t at) { one.length().fix_width(at >= 20 && at < 20 + pause ? 1 : 4); };
        EXPECT_EQ(drafted(7, 0.8f, pause + 60, one, pausing), expected) << pause << " steps without draft tokens";
        EXPECT_GT(figures_.n_joined, 8u);
    }
}

TEST_F(DraftSubmission, EitherGivesMemoryBackBetweenBlocks) {
    use("large.gguf", 4096);
    Speculators one = drafted_by("small.gguf", 4, Submission::one, 4096);
    const auto expected = plain(9, 0.8f, 80);
    uint64_t n_bytes = 0;
    const auto shrinking = [&](uint32_t at) {
        const uint64_t page_bytes = target_.session->plan().kv_bytes / (target_.session->n_ctx() / 32);
        if (at % 6 == 1) n_bytes += one.shrink(1).value();
        if (at % 6 == 4) n_bytes += target_.session->shrink(page_bytes).value();
    };
    EXPECT_EQ(drafted(9, 0.8f, 80, one, shrinking), expected);
    EXPECT_GT(n_bytes, 0u);
    EXPECT_GT(figures_.n_joined, 10u);
    EXPECT_LT(draft_->runner().shape().n_ctx, 4096u);
}

// The words for the draft tokens belong to a session that no longer exists; the draft model continues with another
// one.
TEST_F(DraftSubmission, AnotherTargetTakesItsPlace) {
    Speculators one = drafted_by("small.gguf", 4, Submission::one);
    for (int round = 0; round < 3; ++round) {
        const auto expected = plain(11, 0, 30);
        EXPECT_EQ(drafted(11, 0, 30, one), expected);
        EXPECT_GT(figures_.n_joined, 3u);
        use("large.gguf", 96);
    }
}

TEST_F(DraftSubmission, ADraftOnAnotherDeviceStaysApart) {
    const auto other = make_ref_backend();
    Speculators one = drafted_on(*other, "small.gguf", 4, Submission::one, 96, false);
    const auto expected = plain(13, 0, 40);
    EXPECT_EQ(drafted(13, 0, 40, one), expected);
    EXPECT_EQ(figures_.n_joined, 0u);
    EXPECT_GT(figures_.n_blocks, 3u);
}

TEST_F(DraftSubmission, ALostDeviceLeavesBothTimelinesAsTheyWere) {
    Speculators one = drafted_by("small.gguf", 4, Submission::one);
    const auto expected = plain(15, 0, 40);
    Sampler sampler = start(15, 0);
    std::vector<TokenId> before;
    {
        SpeculativeDecoder decoder(*target_.session, sampler, one, true);
        ASSERT_TRUE(decoder.start());
        Result<TokenId> token = 0;
        for (uint32_t i = 0; i < 40 && token; ++i) {
            if (i == 20) backend_.fail_run = backend_.counts.runs;
            before = draft_->cached_tokens();
            token = decoder.next(60);
        }
        ASSERT_FALSE(token);
        EXPECT_EQ(token.error().code, ErrorCode::device_lost);
    }
    ASSERT_LE(draft_->cached_tokens().size(), before.size());
    EXPECT_TRUE(std::equal(draft_->cached_tokens().begin(), draft_->cached_tokens().end(), before.begin()));
    // After a passing error of the device everything would continue from there.
    EXPECT_EQ(drafted(15, 0, 40, one), expected);
}

// Random weights are never sure, so a chain that the host cannot stop always continues past the place where propose
// would stop.
TEST_F(DraftSubmission, ItIsUsedWhereItPays) {
    Speculators right = drafted_by("large.gguf", 8, Submission::whatever_pays);
    const auto expected = plain(19, 0, 80);
    EXPECT_EQ(drafted(19, 0, 80, right), expected);
    EXPECT_GE(figures_.n_blocks, 9u);
    EXPECT_EQ(figures_.n_joined, figures_.n_blocks) << "unsure, and accepted all the same";
    Speculators wrong = drafted_by("small.gguf", 24, Submission::whatever_pays);
    EXPECT_EQ(drafted(19, 0, 60, wrong), plain(19, 0, 60));
    EXPECT_LT(figures_.n_accepted, figures_.n_draft_tokens / 2);
    EXPECT_GE(figures_.n_joined, 1u) << "it is tried";
    EXPECT_LT(figures_.n_joined, figures_.n_blocks / 2) << "and does not pay";
}

TEST_F(DraftSubmission, DamagedLogitsOfTheDraftAreAnError) {
    Speculators one = drafted_by("small.gguf", 4, Submission::one);
    Sampler sampler = start(17, 0);
    SpeculativeDecoder decoder(*target_.session, sampler, one, true);
    ASSERT_TRUE(decoder.start());
    for (uint32_t i = 0; i < 12; ++i) ASSERT_TRUE(decoder.next(60));
    // The first words that are read after a block are the draft model's results: id, status.
    backend_.after_read = [](std::span<std::byte> bytes) {
        if (bytes.size() >= 8) bytes[4] = std::byte{1};
    };
    Result<TokenId> token = 0;
    for (uint32_t i = 0; i < 8 && token; ++i) token = decoder.next(60);
    ASSERT_FALSE(token);
    EXPECT_EQ(token.error().code, ErrorCode::corrupt);
}

}  // namespace
}  // namespace atlas
