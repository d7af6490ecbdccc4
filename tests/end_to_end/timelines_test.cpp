// Timelines and the engine on a device: the results of the reference backend for each text alone.
#include <gtest/gtest.h>

#include <map>

#include "runtime/session/batch/engine.h"
#include "tests/end_to_end/validated_backend.h"
#include "tests/reference/ref_backend.h"
#include "tests/support/interleaving.h"
#include "tests/support/temp_dir.h"

namespace atlas {
namespace {

// As tiny_test.cpp: logits spread over several units, sums of at most 160 terms in f32.
constexpr float kTolerance = 2e-4f;

class DeviceTimelines : public ::testing::Test {
  protected:
    DeviceTimelines() { testing::write_tiny_model(dir_ / "tiny.gguf", testing::smallest_shape()); }
    void TearDown() override { expect_no_validation_messages(); }
    TempDir dir_;
    std::unique_ptr<Backend> reference_ = make_ref_backend();
};

TEST_F(DeviceTimelines, Interleavings) {
    const auto batch = testing::start_batch(dir_ / "tiny.gguf", vulkan(), testing::interleaving_shape());
    testing::FreshPrefill fresh(dir_ / "tiny.gguf", *reference_, 4 * kPageTokens, Format::f32);
    testing::Interleaving interleaving(*batch.runner, fresh, kTolerance);
    for (uint32_t seed = 0; seed < 100; ++seed) {
        interleaving.run(20000 + seed, 6 + seed % 24);
        ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "sequence " << seed;
    }
    EXPECT_GT(interleaving.n_probes(), 100u);
    EXPECT_GT(interleaving.n_restored(), 10u);
    EXPECT_GT(batch.runner->pool().n_copied_pages(), 10u);
}

// Pages of block formats move in the layout that the device uses.
TEST_F(DeviceTimelines, SnapshotsAndForksOfCacheFormats) {
    auto shape = testing::tiny_shape("llama wide");
    testing::write_tiny_model(dir_ / "wide.gguf", shape);
    const auto text = testing::tiny_tokens(80, shape.n_vocab, 3);
    for (const Format format : {Format::f16, Format::q8_0, Format::q5_1, Format::q4_0}) {
        const KvFormats formats = format;
        SessionShape batch_shape{
            .pool_tokens = 512, .n_batch = 64, .max_outputs = 4, .max_timelines = 4, .kv_format = formats};
        const auto batch = testing::start_batch(dir_ / "wide.gguf", vulkan(), batch_shape);
        const auto other = testing::start_batch(dir_ / "wide.gguf", vulkan(), batch_shape);
        Timeline timeline(batch.runner->pool());
        testing::run_tokens(*batch.runner, timeline, {text.begin(), text.begin() + 40});
        const auto bytes = snapshot(timeline);
        ASSERT_TRUE(bytes.has_value()) << bytes.error().message;
        Timeline fork = timeline.fork();
        const auto expected = testing::run_tokens(*batch.runner, timeline, {5});
        EXPECT_EQ(testing::run_tokens(*batch.runner, fork, {5}), expected) << info(format).name;
        auto back = restore(other.runner->pool(), *bytes);
        ASSERT_TRUE(back.has_value()) << back.error().message;
        EXPECT_EQ(testing::run_tokens(*other.runner, *back, {5}), expected) << info(format).name;
    }
}

TEST_F(DeviceTimelines, AFullPoolAndSharedPromptsChangeNoAnswer) {
    auto file = gguf::File::open(dir_ / "tiny.gguf");
    const auto model = Model::load(*file, vulkan(), {.n_ctx = 288, .n_batch = 64, .kv_format = Format::f32}).value();
    const auto engine = Engine::create(model, {.pool_tokens = 9 * kPageTokens,
                                               .n_ctx = 256,
                                               .n_batch = 48,
                                               .max_outputs = 8,
                                               .max_timelines = 6,
                                               .kv_format = Format::f32})
                            .value();
    std::map<RequestId, EngineRequest> wanted;
    for (uint64_t i = 0; i < 8; ++i) {
        EngineRequest request;
        request.prompt = testing::tiny_tokens(40, 13, i / 4);
        request.prompt.push_back(static_cast<TokenId>(i));
        request.sampler.temperature = i % 2 == 0 ? 0.0f : 1.0f;
        request.sampler.seed = i;
        request.max_tokens = 90;
        wanted[engine->submit(request).value()] = request;
    }
    while (!engine->is_idle()) ASSERT_TRUE(engine->step().has_value());
    EXPECT_GT(engine->n_preemptions(), 0u);
    EXPECT_EQ(engine->runner().pool().n_in_use(), 0u);
    testing::FreshPrefill fresh(dir_ / "tiny.gguf", *reference_, 160, Format::f32);
    const auto finished = engine->take_finished();
    ASSERT_EQ(finished.size(), 8u);
    for (const EngineResult& result : finished) {
        const EngineRequest& request = wanted[result.id];
        Sampler sampler = Sampler::create(request.sampler).value();
        auto tokens = request.prompt;
        for (const TokenId token : tokens) sampler.accept(token);
        for (const TokenId token : result.answer) {
            ASSERT_EQ(sampler.sample(fresh.logits(tokens)).value(), token)
                << "request " << result.id << " after " << tokens.size();
            sampler.accept(token);
            tokens.push_back(token);
        }
        EXPECT_EQ(result.answer.size(), 90u);
    }
}

}  // namespace
}  // namespace atlas
