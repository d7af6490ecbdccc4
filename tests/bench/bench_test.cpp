// Shapes, random weights, reports, and a measurement of a tiny model from end to end.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bench/bench_report.h"
#include "bench/plan_backend.h"
#include "bench/random_weights.h"
#include "bench/samples.h"
#include "bench/shape_model.h"
#include "bench/step_profile.h"
#include "bench/timed_step.h"
#include "quant/codec.h"
#include "runtime/kernels/vk_backend.h"
#include "runtime/model/common_weights.h"
#include "tests/vk/made_up_devices.h"

namespace atlas::bench {
namespace {

TEST(Samples, MedianAndSpread) {
    EXPECT_EQ(median({3, 1, 2}), 2);
    EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
    EXPECT_EQ(spread({7}), 0);
    EXPECT_DOUBLE_EQ(spread({9, 10, 11}), 0.2);
}

TEST(Shapes, AreFoundByNameAndRecipe) {
    const auto wish = find_shape("qwen2.5-coder-32b:q4_k_m");
    ASSERT_TRUE(wish) << wish.error().message;
    EXPECT_EQ(wish->shape.n_layer(), 64u);
    EXPECT_EQ(wish->quantization, "Q4_K_M");
    for (const char* name : {"qwen2.5-coder-0.5b:q8_0", "qwen2.5-coder-7b:iq4_xs", "llama-3.1-8b:q6_k",
                             "test-281m:q4_k_m", "test-tiny:f16"}) {
        const auto found = find_shape(name);
        EXPECT_TRUE(found) << found.error().message;
    }
    for (const char* name :
         {"qwen2.5-coder-32b", "qwen2.5-coder-33b:q4_k_m", "qwen2.5-coder-32b:q4_k_xxl", "", ":", "test-tiny:"}) {
        EXPECT_FALSE(find_shape(name)) << name;
    }
}

// A backend without memory loads a shape of 20 GB: nothing of that size may be touched on the way.
TEST(Shapes, LoadWithoutHostMemoryOfTheirSize) {
    vk::DeviceCaps caps = vk::made_up_device("a card", vk::DeviceType::discrete);
    caps.max_workgroup_size = {1024, 1024, 64};
    caps.max_workgroup_count = {65535, 65535, 65535};
    PlanBackend backend(caps);
    const auto wish = find_shape("qwen2.5-coder-32b:q4_k_m");
    ASSERT_TRUE(wish);
    const auto model = load_shape(*wish, backend, {.n_ctx = 512});
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_NEAR(double((*model)->weights_bytes()), 19.85e9, 0.1e9);  // the published file has 19,851,335,520 bytes
    EXPECT_EQ((*model)->weights().at(0, kAttnQ).format, Format::q4_k);
    EXPECT_EQ((*model)->weights()[kOutput].format, Format::q6_k);
}

TEST(RandomWeights, AreFiniteAndOfTheWantedSizeInEveryFormat) {
    for (size_t i = 0; i < kFormats.size(); ++i) {
        const auto format = static_cast<Format>(i);
        const auto blocks = random_blocks(format, 0.02f, 100'000);
        ASSERT_GE(blocks.size(), 100'000u);
        ASSERT_EQ(blocks.size() % kFormats[i].block_bytes, 0u);
        std::vector<float> values(blocks.size() / kFormats[i].block_bytes * kFormats[i].block_elems);
        dequantize_row(format, blocks, values);
        double sum = 0, squares = 0;
        for (const float value : values) {
            ASSERT_TRUE(std::isfinite(value)) << kFormats[i].name;
            sum += value;
            squares += double{value} * value;
        }
        EXPECT_NEAR(sum / double(values.size()), 0, 1e-3) << kFormats[i].name;
        EXPECT_NEAR(std::sqrt(squares / double(values.size())), 0.02, 0.002) << kFormats[i].name;
    }
}

BenchResult made_up_result() {
    BenchResult result;
    result.device = "a \"card\"";
    result.model = "test-tiny";
    result.prefill = {{512, 0, {100, 120, 110}}};
    result.decode = {{128, 4096, {10}}};
    result.verify = {{1, 0, {2.0}}, {8, 0, {2.5, 3.5}}};
    result.kernels = {{"q4_k [1, 2] x 1", "matvec(64)", 123, 4.5, 0.9}};
    return result;
}

TEST(BenchReport, JsonHasTheSchema) {
    const auto json = nlohmann::json::parse(to_json(made_up_result()).dump());
    for (const char* field : {"device", "driver", "model", "quantization", "kv_type", "context", "commit", "limits",
                              "prefill", "decode", "verify", "kernels"}) {
        EXPECT_TRUE(json.contains(field)) << field;
    }
    EXPECT_EQ(json["prefill"][0]["n_tokens"], 512);
    EXPECT_EQ(json["prefill"][0]["tokens_per_s"], 110);
    EXPECT_EQ(json["prefill"][0]["samples"].size(), 3u);
    EXPECT_EQ(json["decode"][0]["depth"], 4096);
    EXPECT_EQ(json["verify"][1]["columns"], 8);
    EXPECT_EQ(json["verify"][1]["ms"], 3.0);
    EXPECT_EQ(json["kernels"][0]["name"], "q4_k [1, 2] x 1");
    EXPECT_EQ(json["kernels"][0]["gb_per_s"], 123);
    EXPECT_EQ(json["kernels"][0]["tflop_per_s"], 4.5);
    EXPECT_EQ(json["kernels"][0]["share_of_limit"], 0.9);
}

TEST(BenchReport, CsvHasALineForEachMeasurement) {
    const std::string text = csv(made_up_result());
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6);
    EXPECT_NE(text.find("prefill,512,0,tokens/s,110,"), std::string::npos) << text;
    EXPECT_NE(text.find("verify,8,0,ms,3,"), std::string::npos) << text;
}

TEST(BenchReport, MarkdownSaysWhetherResultsWereChecked) {
    BenchResult result = made_up_result();
    EXPECT_NE(markdown(result).find("no result was checked"), std::string::npos);
    result.checked = true;
    EXPECT_EQ(markdown(result).find("no result was checked"), std::string::npos);
}

std::unique_ptr<VkBackend> open_backend(bool profile = false) {
    VkBackendOptions options;
    options.profile = profile;
    options.pipeline_cache = std::string(ATLAS_BINARY_DIR) + "/test_bench.pipelines";
    auto backend = make_vk_backend(options);
    EXPECT_TRUE(backend) << backend.error().message;
    return backend ? std::move(*backend) : nullptr;
}

TEST(ModelBench, MeasuresWhatItWasAskedFor) {
    const auto backend = open_backend();
    ASSERT_TRUE(backend);
    BenchOptions options;
    options.prefill = {5, 16};
    options.decode = {3};
    options.depths = {0, 33};
    options.verify = {1, 3};
    options.batch = {2};
    options.kernel_tokens = {1};
    options.repetitions = 2;
    const auto wish = find_shape("test-tiny:q4_0");
    ASSERT_TRUE(wish);
    const auto model = load_shape(*wish, *backend, {.n_ctx = context_for(options)});
    ASSERT_TRUE(model) << model.error().message;
    BenchResult result;
    const auto measured = measure_model(*model, options, result);
    ASSERT_TRUE(measured) << measured.error().message;
    ASSERT_EQ(result.prefill.size(), 4u);
    ASSERT_EQ(result.decode.size(), 2u);
    EXPECT_EQ(result.decode[1].depth, 33u);
    ASSERT_EQ(result.verify.size(), 2u);
    ASSERT_EQ(result.batch.size(), 1u);
    EXPECT_FALSE(result.kernels.empty());
    for (const SpeedRow& row : result.prefill) {
        EXPECT_EQ(row.samples.size(), 2u);
        EXPECT_GT(median(row.samples), 0);
    }
    for (const KernelRow& row : result.kernels) EXPECT_GT(row.gb_per_s, 0) << row.name;
}

// What is profiled is the step that runs: the same kernels as often, each with a time.
TEST(StepProfile, NamesEveryDispatchOfTheStep) {
    const auto backend = open_backend(true);
    ASSERT_TRUE(backend);
    BenchOptions options;
    options.verify = {1, 9};
    options.depths = {0, 40};
    options.repetitions = 2;
    const auto model = load_shape(*find_shape("test-tiny:q4_0"), *backend, {.n_ctx = 64});
    ASSERT_TRUE(model) << model.error().message;
    const auto rows = profile_steps(*backend, **model, options);
    if (!rows && rows.error().code == ErrorCode::unsupported) GTEST_SKIP() << rows.error().message;
    ASSERT_TRUE(rows) << rows.error().message;
    for (const uint32_t columns : options.verify) {
        const auto runner = TimedStep::create(**model, {1, columns, 40}, options.kv);
        ASSERT_TRUE(runner && (*runner)->prepare({1, columns, 40}));
        uint32_t dispatches = 0;
        double last_ms = INFINITY, sum_ms = 0;
        for (const ProfileRow& row : *rows) {
            if (row.columns != columns || row.depth != 40) continue;
            EXPECT_NE(row.label.find(": "), std::string::npos) << row.label;
            EXPECT_LE(row.ms, last_ms);
            last_ms = row.ms;
            sum_ms += row.ms;
            dispatches += row.dispatches;
        }
        EXPECT_EQ(dispatches, backend->size_of((*runner)->program()).dispatches);
        EXPECT_GT(sum_ms, 0);
    }
    // A cache that is rotated by default is rotated here, too.
    options.kv = with_default_rotation(Format::q8_0);
    const auto turned = profile_steps(*backend, **model, options);
    ASSERT_TRUE(turned) << turned.error().message;
    EXPECT_TRUE(std::any_of(turned->begin(), turned->end(), [](const ProfileRow& row) {
        return row.label.find("rotated_kv_write") != std::string::npos;
    }));

    BenchResult result;
    result.profile = *rows;
    EXPECT_EQ(to_json(result)["profile"].size(), rows->size());
    EXPECT_NE(markdown(result).find("step of 9 at depth 40"), std::string::npos);
}

TEST(ModelBench, StopsWhenAsked) {
    const auto backend = open_backend();
    ASSERT_TRUE(backend);
    std::stop_source source;
    source.request_stop();
    BenchOptions options;
    options.stop = source.get_token();
    const auto model = load_shape(*find_shape("test-tiny:q4_0"), *backend, {.n_ctx = context_for(options)});
    ASSERT_TRUE(model) << model.error().message;
    BenchResult result;
    ASSERT_TRUE(measure_model(*model, options, result));
    EXPECT_TRUE(result.cancelled);
    EXPECT_TRUE(result.prefill.empty() && result.kernels.empty());
}

}  // namespace
}  // namespace atlas::bench
