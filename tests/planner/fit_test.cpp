// Footprints from shapes: the same numbers as the plan of a file with those tensors, and the field's folklore.
#include "runtime/planner/fit.h"

#include <gtest/gtest.h>

#include <random>

#include "runtime/base/units.h"
#include "runtime/planner/catalogue.h"

namespace atlas {
namespace {

const Catalogue& catalogue() {
    static const Catalogue loaded = *load_catalogue({});
    return loaded;
}
const ModelShape& shape_of(std::string_view name) { return catalogue().find_model(name).value()->shape; }
constexpr KvFormats kF16{Format::f16, Format::f16}, kQ8{Format::q8_0, Format::q8_0}, kQ4{Format::q4_0, Format::q4_0};

TEST(Fit, CacheBytesPerTokenAreThePublishedOnes) {
    const auto kib = [](std::string_view name) {
        const ModelShape& m = shape_of(name);
        // Two depths, so that windows and states of fixed size drop out.
        const uint64_t a = cache_bytes(m.config, 32768, kF16, 512), b = cache_bytes(m.config, 65536, kF16, 512);
        return double(b - a) / 32768 / 1024;
    };
    EXPECT_DOUBLE_EQ(kib("qwen2.5-coder-7b"), 56);
    EXPECT_DOUBLE_EQ(kib("qwen2.5-coder-14b"), 192);
    EXPECT_DOUBLE_EQ(kib("qwen2.5-coder-32b"), 256);
    EXPECT_DOUBLE_EQ(kib("qwen3-8b"), 144);
    EXPECT_DOUBLE_EQ(kib("qwen3-30b-a3b"), 96);
    EXPECT_NEAR(kib("deepseek-coder-v2-lite"), 30.4, 0.03);
    EXPECT_DOUBLE_EQ(kib("glm-4-32b-0414"), 61);
    EXPECT_DOUBLE_EQ(kib("gpt-oss-20b"), 24);
    EXPECT_DOUBLE_EQ(kib("qwen3.6-27b"), 64);
    EXPECT_DOUBLE_EQ(kib("qwen3.5-35b-a3b"), 20);
    EXPECT_DOUBLE_EQ(kib("gemma-3-27b"), 80);
    EXPECT_DOUBLE_EQ(kib("llama-3.1-8b"), 128);
    EXPECT_DOUBLE_EQ(kib("llama-2-7b"), 512);
}

TEST(Fit, TwoLayersGiveTheScratchOfAll) {
    for (const std::string_view name : {"smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-14b", "llama-3.2-1b"}) {
        const ModelShape& model = shape_of(name);
        ModelShape six = model;
        six.config.layers.resize(6);
        ModelShape nine = model;
        nine.config.layers.resize(9);
        const auto a = ModelFit::create(model, "Q4_K_M"), b = ModelFit::create(six, "Q4_K_M"),
                   c = ModelFit::create(nine, "Q4_K_M");
        ASSERT_TRUE(a && b && c);
        for (const uint32_t n_ctx : {512u, 4096u, 32768u}) {
            EXPECT_EQ(a->at(n_ctx, kF16).scratch_bytes, b->at(n_ctx, kF16).scratch_bytes) << name;
            EXPECT_EQ(a->at(n_ctx, kF16).scratch_bytes, c->at(n_ctx, kF16).scratch_bytes) << name;
        }
    }
}

TEST(Fit, FolkloreComesOutRight) {
    const auto coder32 = ModelFit::create(shape_of("qwen2.5-coder-32b"), "Q4_K_M").value();
    const uint64_t card = 24 * kGiB;
    EXPECT_GT(coder32.at(32768, kF16).total_bytes(), card) << "a 32B Q4_K_M with 32k of f16 KV does not fit 24 GB";
    EXPECT_LT(coder32.at(32768, kQ8).total_bytes(), card) << "with q8_0 it does";
    EXPECT_LT(coder32.at(32768, kQ4).total_bytes(), card) << "and with q4_0";
    const auto coder14 = ModelFit::create(shape_of("qwen2.5-coder-14b"), "Q4_K_M").value();
    EXPECT_LT(coder14.at(8192, kF16).total_bytes(), 12 * kGiB) << "a 12 GB card gets a 14B at 4 bit with short context";
    EXPECT_GT(coder14.at(32768, kF16).total_bytes(), 12 * kGiB);
    const auto llama8 = ModelFit::create(shape_of("llama-3.1-8b"), "Q4_K_M").value();
    EXPECT_LT(llama8.at(49152, kF16).total_bytes(), 12 * kGiB) << "or an 8B with long";
}

TEST(Fit, LargestContextIsTheLargest) {
    std::mt19937 random(3);
    for (int i = 0; i < 40; ++i) {
        const CatalogueModel& model = catalogue().models[random() % catalogue().models.size()];
        const auto fit = ModelFit::create(model.shape, "Q4_K_M").value();
        const uint64_t available = fit.size().tensor_bytes + (random() % 8192) * kMiB;
        const uint32_t most = model.shape.n_ctx();
        const auto longest = fit.longest({available}, kPageTokens, most, kQ8);
        const uint32_t n_ctx = longest ? longest->n_ctx : 0;
        if (n_ctx > 0) {
            EXPECT_LE(fit.at(n_ctx, kQ8).total_bytes(), available) << model.shape.id;
        }
        if (n_ctx + kPageTokens <= most) {
            EXPECT_GT(fit.at(n_ctx + kPageTokens, kQ8).total_bytes(), available) << model.shape.id;
        }
    }
}

TEST(Fit, CacheFormatsAreReadAndRefusedWithTheirNames) {
    EXPECT_EQ(name_of(parse_kv_formats("q8_0:q4_0").value()), "q8_0:q4_0");
    EXPECT_EQ(name_of(parse_kv_formats("f16").value()), "f16");
    for (const char* bad : {"", "q4_k", "f16:", ":f16", "q8", "f16:f16:f16"}) {
        const auto kv = parse_kv_formats(bad);
        ASSERT_FALSE(kv) << bad;
        EXPECT_NE(kv.error().message.find("q8_0"), std::string::npos);
    }
}

}  // namespace
}  // namespace atlas
