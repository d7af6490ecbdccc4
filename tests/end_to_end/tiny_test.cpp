// Tiny random models of every registered architecture: the Vulkan backend gives the logits of the reference backend.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/end_to_end/validated_backend.h"
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

class TinyModel : public ::testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        shape_ = testing::tiny_shape(GetParam());
        testing::write_tiny_model(dir_ / "tiny.gguf", shape_);
        tokens_ = testing::tiny_tokens(kTokens, shape_.n_vocab, 7);
        const auto reference = make_ref_backend();
        expected_ = all_logits(*start_model(dir_ / "tiny.gguf", *reference, whole_).session, tokens_);
    }
    void TearDown() override { expect_no_validation_messages(); }
    std::span<const float> row(uint32_t position) const {
        return std::span(expected_).subspan(position * shape_.n_vocab, shape_.n_vocab);
    }

    TempDir dir_;
    testing::TinyShape shape_;
    std::vector<uint32_t> tokens_;
    std::vector<float> expected_;
    SessionShape whole_{.n_ctx = 96, .n_batch = kTokens, .max_outputs = kTokens, .kv_format = Format::f32};
    // Logits here spread over about +-10; sums of at most 160 terms in f32 stay within this. A wrong row is off by
    // whole units.
    static constexpr float kTolerance = 2e-4f;
};

TEST_P(TinyModel, WholePrompt) {
    EXPECT_LT(
        largest_difference(all_logits(*start_model(dir_ / "tiny.gguf", vulkan(), whole_).session, tokens_), expected_),
        kTolerance);
}

TEST_P(TinyModel, Chunks) {
    for (uint32_t chunk : {1u, 3u, 8u, 33u}) {
        SessionShape shape = whole_;
        shape.n_batch = shape.max_outputs = chunk;
        const auto running = start_model(dir_ / "tiny.gguf", vulkan(), shape);
        EXPECT_LT(largest_difference(all_logits(*running.session, tokens_), expected_), kTolerance)
            << "chunks of " << chunk;
    }
}

TEST_P(TinyModel, PromptThenStepsThenRewind) {
    const auto running =
        start_model(dir_ / "tiny.gguf", vulkan(), {.n_ctx = 96, .n_batch = 16, .kv_format = Format::f32});
    Session& session = *running.session;
    const auto expect_row = [&](uint32_t position) {
        EXPECT_LT(largest_difference(session.logits(), row(position)), kTolerance) << "position " << position;
    };
    ASSERT_TRUE(session.sync(std::span(tokens_).first(40)).has_value());
    expect_row(39);
    for (uint32_t t = 40; t < kTokens; ++t) {
        ASSERT_TRUE(session.step(tokens_[t]).has_value());
        expect_row(t);
    }
    const uint32_t kept = session.rewind(31);  // fewer where layers have a state
    for (uint32_t other : testing::tiny_tokens(9, shape_.n_vocab, 3)) ASSERT_TRUE(session.step(other).has_value());
    session.rewind(kept);
    ASSERT_TRUE(session.sync(tokens_).has_value());
    expect_row(kTokens - 1);
}

// The reference rounds K and V to halves in the same place, so the two stay as near as with an f32 cache, save where a
// sum's last bit decides which way a half is rounded.
TEST_P(TinyModel, HalfPrecisionCache) {
    SessionShape half = whole_;
    half.kv_format = Format::f16;
    const auto reference = make_ref_backend();
    const auto expected = all_logits(*start_model(dir_ / "tiny.gguf", *reference, half).session, tokens_);
    EXPECT_LT(
        largest_difference(all_logits(*start_model(dir_ / "tiny.gguf", vulkan(), half).session, tokens_), expected),
        1e-2f);
}

std::vector<std::string> every_architecture() {
    std::vector<std::string> words;
    for (const Architecture* architecture : runnable_architectures()) {
        words.push_back(std::string(architecture->name) + " biases");
        words.push_back(std::string(architecture->name) + " tied yarn whole q8_0");
    }
    return words;
}

std::string name_of(const ::testing::TestParamInfo<std::string>& info) {
    std::string name = info.param;
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c == ' ' || c == '-'; }, '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(EveryArchitecture, TinyModel, ::testing::ValuesIn(every_architecture()), name_of);

using TinyVariant = TinyModel;

// Whole chunks run the matrix kernels, single steps the vector kernels; both read every format.
TEST_P(TinyVariant, PromptAndSteps) {
    const auto running =
        start_model(dir_ / "tiny.gguf", vulkan(), {.n_ctx = 96, .n_batch = 64, .kv_format = Format::f32});
    ASSERT_TRUE(running.session->sync(std::span(tokens_).first(70)).has_value());
    EXPECT_LT(largest_difference(running.session->logits(), row(69)), kTolerance);
    for (uint32_t t = 70; t < kTokens; ++t) {
        ASSERT_TRUE(running.session->step(tokens_[t]).has_value());
        EXPECT_LT(largest_difference(running.session->logits(), row(t)), kTolerance) << "position " << t;
    }
}

std::vector<std::string> variants() {
    std::vector<std::string> words = {"llama tied rope_freqs", "llama linear", "llama yarn", "qwen2 biases linear"};
    for (const FormatInfo& format : kFormats) {
        words.push_back(fmt::format("llama {} {}", format.block_elems == 256 ? "super" : "whole", format.name));
    }
    return words;
}

INSTANTIATE_TEST_SUITE_P(EveryFormat, TinyVariant, ::testing::ValuesIn(variants()), name_of);

}  // namespace
}  // namespace atlas
