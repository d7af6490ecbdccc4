// The loss by a cache depends on the model's keys; a hurtful cache gives a warning and is never proposed.
#include "runtime/planner/cache_loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "runtime/base/units.h"
#include "runtime/planner/choose.h"
#include "runtime/planner/context.h"
#include "runtime/planner/file_shape.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/support/watched_backend.h"

namespace atlas {
namespace {

// Two measured models: one without key biases, and one with some.
Catalogue two_models() {
    return parse_catalogue(R"({"schema": 1, "kv_loss": [
        {"source": "plain", "key_bias_left": 0, "rows": [
            {"k": "q8_0", "v": "q8_0", "rotation": "k", "perplexity_share": 0.001},
            {"k": "q4_0", "v": "q4_0", "rotation": "kv", "perplexity_share": 0.04},
            {"k": "q8_0", "v": "q4_0", "rotation": "kv", "perplexity_share": 0.004}]},
        {"source": "biased", "key_bias_left": 3, "rows": [
            {"k": "q8_0", "v": "q8_0", "rotation": "k", "perplexity_share": 0.01},
            {"k": "q4_0", "v": "q4_0", "rotation": "kv", "perplexity_share": 0.4},
            {"k": "q4_0", "v": "q4_0", "rotation": "kv", "fitted": true, "perplexity_share": 0.02},
            {"k": "q4_0", "v": "f16", "rotation": "k", "perplexity_share": 0.38},
            {"k": "q8_0", "v": "q4_0", "rotation": "kv", "perplexity_share": 0.03}]}]})",
                           "test")
        .value();
}

TEST(CacheLoss, AModelCostsWhatTheMeasuredModelNextToItCosts) {
    const Catalogue catalogue = two_models();
    const auto source = [&](double left) {
        return kv_cost_of(catalogue, with_default_rotation(Format::q4_0), {false, left}).source;
    };
    EXPECT_EQ(source(0), "plain");
    EXPECT_EQ(source(0.001), "biased") << "between two: as the worse one";
    EXPECT_EQ(source(3), "biased");
    EXPECT_EQ(source(50), "biased");
    EXPECT_EQ(source(INFINITY), "biased");
    EXPECT_EQ(kv_cost_of(catalogue, with_default_rotation(Format::q4_0), {true, 3}).perplexity_share, 0.02);
    EXPECT_EQ(kv_cost_of(catalogue, with_default_rotation({Format::q5_0, Format::f16}), {false, 3}).perplexity_share,
              0.38)
        << "the next less exact one";
    EXPECT_EQ(kv_cost_of(catalogue, Format::f16, {false, 3}).perplexity_share, 0);
    EXPECT_FALSE(kv_cost_of(catalogue, with_default_rotation(Format::q8_0), {false, 3}).is_least);
    const KvCost unknown = kv_cost_of(catalogue, with_default_rotation({Format::q8_0, Format::q4_0}), {false, 50});
    EXPECT_TRUE(unknown.is_least);
    EXPECT_TRUE(is_hurtful(unknown)) << "3 % at least";
}

TEST(CacheLoss, WhatHurtsIsSaidWithWhatDoesNot) {
    const Catalogue catalogue = two_models();
    EXPECT_EQ(warning_of(catalogue, with_default_rotation(Format::q4_0), {}), "");
    EXPECT_EQ(warning_of(catalogue, Format::f16, {false, 3}), "");
    EXPECT_EQ(warning_of(catalogue, with_default_rotation(Format::q4_0), {true, 3}), "");
    const std::string text = warning_of(catalogue, with_default_rotation(Format::q4_0), {false, 3});
    for (const char* words : {"a q4_0 cache is known to hurt", "40 % more perplexity (biased)", "--kv q8_0 (1.0 %)",
                              "--kv q8_0:q4_0 (3.0 %)", "fit-cache writes (2.0 %)"}) {
        EXPECT_NE(text.find(words), std::string::npos) << words << " in: " << text;
    }
}

// Regression: a loss of another format was shown as measured.
TEST(CacheLoss, OnlyAPairsOwnRowIsMeasured) {
    const Catalogue catalogue = two_models();
    const auto cost = [&](const KvFormats& kv, bool fitted = false) {
        return kv_cost_of(catalogue, with_default_rotation(kv), {fitted, 3});
    };
    EXPECT_TRUE(cost(Format::q8_0).measured);
    EXPECT_TRUE(cost({Format::q4_0, Format::f16}).measured);
    EXPECT_FALSE(cost({Format::q5_0, Format::f16}).measured) << "q4_0's";
    EXPECT_FALSE(cost(Format::q5_1).measured);
    EXPECT_TRUE(cost(Format::q4_0, true).measured);
    EXPECT_FALSE(cost(Format::q8_0, true).measured) << "of the file as it is";
    EXPECT_TRUE(cost(Format::f16).measured) << "there is nothing to measure";
    EXPECT_EQ(cost(Format::f16).source, "");
    const std::string text = warning_of(catalogue, with_default_rotation({Format::q5_0, Format::f16}), {false, 3});
    EXPECT_NE(
        text.find(
            "is likely to hurt models with keys like this one's: about 38 % more perplexity (estimated from biased)"),
        std::string::npos)
        << text;
}

TEST(CacheLoss, NothingHurtfulIsProposed) {
    const Catalogue catalogue = two_models();
    const auto names = [&](const CacheTraits& traits) {
        std::vector<std::string> found;
        for (const KvFormats& kv : smaller_caches(catalogue, traits)) {
            EXPECT_EQ(kv, with_default_rotation(kv));
            found.push_back(name_of(kv));
        }
        return found;
    };
    EXPECT_EQ(names({}), (std::vector<std::string>{"q8_0", "q4_0"}));
    EXPECT_EQ(names({false, 3}), (std::vector<std::string>{"q8_0", "q8_0:q4_0"}));
    EXPECT_EQ(names({true, 3}), (std::vector<std::string>{"q8_0", "q4_0"}));
    EXPECT_EQ(names({false, 50}), (std::vector<std::string>{"q8_0"})) << "harder than all that were measured";
}

// The built-in rows: complete for every measured model, and Qwen2.5's keys are not taken for SmolLM2's.
TEST(CacheLoss, TheBuiltInRowsKnowKeysWithBiases) {
    const Catalogue catalogue = load_catalogue({}).value();
    const auto cost = [&](const char* model, const KvFormats& kv) {
        return kv_cost_of(catalogue, with_default_rotation(kv),
                          cache_traits(catalogue.find_model(model).value()->shape))
            .perplexity_share;
    };
    EXPECT_EQ(cache_traits(catalogue.find_model("smollm2-135m").value()->shape).key_bias_left, 0);
    EXPECT_GT(cache_traits(catalogue.find_model("qwen2.5-coder-0.5b").value()->shape).key_bias_left, 1);
    EXPECT_TRUE(std::isinf(cache_traits(catalogue.find_model("qwen2.5-coder-32b").value()->shape).key_bias_left))
        << "not looked at";
    EXPECT_NE(cost("qwen2.5-coder-0.5b", Format::q4_0), cost("smollm2-135m", Format::q4_0));
    EXPECT_GE(cost("qwen2.5-coder-32b", Format::q4_0), cost("qwen2.5-coder-0.5b", Format::q4_0));
    const CacheTraits of_32b = cache_traits(catalogue.find_model("qwen2.5-coder-32b").value()->shape);
    for (const KvFormats& kv : smaller_caches(catalogue, of_32b))
        EXPECT_EQ(kv.k, Format::q8_0) << "4-bit keys of a model that was not measured";
    EXPECT_FALSE(smaller_caches(catalogue, of_32b).empty());
    for (const KvLoss& row : catalogue.kv_loss)
        ASSERT_TRUE(row.key_bias_left) << row.source << ": ours are of one model each";
    // The least exact format is what others fall back to.
    for (const bool turned : {false, true}) {
        for (const bool keys : {false, true}) {
            KvFormats half = keys ? KvFormats(Format::q4_0, Format::f16) : KvFormats(Format::f16, Format::q4_0);
            (keys ? half.rotate_k : half.rotate_v) = turned;
            const KvCost found = kv_cost_of(catalogue, half, {false, INFINITY});
            EXPECT_NE(found.source, "") << name_of(half) << (turned ? " rotated" : "");
            EXPECT_TRUE(!keys || found.perplexity_share > 0) << name_of(half) << (turned ? " rotated" : "");
        }
    }
}

class BiasedFile : public ::testing::Test {
  protected:
    // The large elements lie where rope rotates fast, so that the shift does not remove them.
    void SetUp() override {
        testing::TinyShape shape = testing::tiny_shape("qwen2 super biases");
        shape.n_ctx_train = 1 << 20;
        shape.leave_out = {"blk.0.attn_k.bias"};
        shape.more = [](gguf::Writer& writer) {
            writer.add_tensor("blk.0.attn_k.bias", {128}, Format::f32, [](std::span<std::byte> out) {
                std::vector<float> bias(128, 0.0f);
                bias[64] = 22.0f;
                std::memcpy(out.data(), bias.data(), out.size());
            });
        };
        testing::write_tiny_model(dir_ / "biased.gguf", shape);
        file_ = std::make_unique<gguf::File>(gguf::File::open(dir_ / "biased.gguf").value());
    }

    TempDir dir_;
    std::unique_ptr<gguf::File> file_;
};

TEST_F(BiasedFile, ItsKeysAreMeasured) {
    EXPECT_NEAR(cache_traits(*file_).key_bias_left, 2.75, 0.01);  // 22 / sqrt(64)
    EXPECT_NEAR(shape_of_file(*file_).value().shape.key_bias_left, 2.75, 0.01);
    testing::write_tiny_model(dir_ / "plain.gguf", testing::tiny_shape("llama"));
    EXPECT_EQ(cache_traits(gguf::File::open(dir_ / "plain.gguf").value()).key_bias_left, 0);
}

class Budgeted final : public testing::WatchedBackend {
  public:
    MemoryBudget now;
    MemoryBudget budget() const override { return now; }
};

// Regression: "--ctx 1048576 --kv q4_0" was proposed for every model.
TEST_F(BiasedFile, ARefusalProposesNoCacheThatHurts) {
    const Catalogue catalogue = two_models();
    Budgeted backend;
    backend.now = {kGiB, 40 * kMiB, 40 * kMiB, 0};
    for (const KvFormats& asked : {KvFormats(Format::f16), with_default_rotation(Format::q4_0)}) {
        ContextWish wish;
        wish.shape.n_ctx = 1 << 20;
        wish.shape.kv_format = asked;
        const auto refused = choose_context(*file_, backend, wish, catalogue);
        ASSERT_FALSE(refused);
        const std::string proposed = refused.error().message.substr(refused.error().message.find("What fits:"));
        EXPECT_EQ(proposed.find("--kv q4_0"), std::string::npos) << proposed;
        EXPECT_NE(proposed.find("--kv q8_0 "), std::string::npos) << proposed;
        EXPECT_NE(proposed.find("--kv q8_0:q4_0"), std::string::npos) << proposed;
    }
}

}  // namespace
}  // namespace atlas
