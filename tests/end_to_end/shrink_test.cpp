// Caches shrink on a device: the driver gets the memory, and every later bit is what it would have been.
#include <gtest/gtest.h>

#include "runtime/planner/budget_watch.h"
#include "runtime/serve/generation.h"
#include "runtime/session/batch/engine.h"
#include "runtime/vk/memory.h"
#include "tests/end_to_end/validated_backend.h"
#include "tests/support/run_batch.h"
#include "tests/support/temp_dir.h"
#include "tests/support/watched_backend.h"

namespace atlas {
namespace {

vk::UseStatistics cache_memory() {
    for (const vk::UseStatistics& use : vulkan().memory_statistics()) {
        if (use.use == int(MemoryUse::kv)) return use;
    }
    return {};
}

class DeviceGivesBack : public ::testing::Test {
  protected:
    DeviceGivesBack() { testing::write_tiny_model(dir_ / "wide.gguf", shape_); }
    void TearDown() override { expect_no_validation_messages(); }
    testing::TinyShape shape_ = testing::tiny_shape("llama wide");
    TempDir dir_;
};

TEST_F(DeviceGivesBack, ASessionGoesOnToTheBit) {
    const auto text = testing::tiny_tokens(200, shape_.n_vocab, 3);
    for (const KvFormats& formats :
         {KvFormats(Format::f16), KvFormats(Format::q8_0, Format::q4_0), with_default_rotation(Format::q4_0)}) {
        const SessionShape shape{.n_ctx = 8192, .n_batch = 64, .max_outputs = 1, .kv_format = formats};
        const auto twin = testing::start_model(dir_ / "wide.gguf", vulkan(), shape),
                   running = testing::start_model(dir_ / "wide.gguf", vulkan(), shape);
        Session& session = *running.session;
        ASSERT_TRUE(session.sync(std::span(text).first(100)) && twin.session->sync(std::span(text).first(100)));
        const vk::UseStatistics before = cache_memory();
        const uint64_t largest = kv_side_bytes(session.model().config().layers[0].cache().k_width, 8192, formats.k);
        const auto given = session.shrink(UINT64_MAX);
        ASSERT_TRUE(given) << given.error().message;
        const vk::UseStatistics after = cache_memory();
        EXPECT_EQ(session.n_ctx(), 384u);
        EXPECT_EQ(before.slab_bytes - after.slab_bytes, *given) << "whole storages, returned to the driver";
        EXPECT_LE(after.peak_slab_bytes, std::max(before.peak_slab_bytes, before.slab_bytes + largest));
        std::printf("%s: cache memory %.2f -> %.2f MiB\n", name_of(formats).c_str(),
                    double(before.slab_bytes) / (1 << 20), double(after.slab_bytes) / (1 << 20));
        for (uint32_t t = 100; t < 140; ++t) {
            ASSERT_TRUE(session.step(text[t]) && twin.session->step(text[t]));
            ASSERT_EQ(testing::largest_difference(session.logits(), twin.session->logits()), 0)
                << name_of(formats) << ", position " << t;
        }
        ASSERT_TRUE(session.sync(text) && twin.session->sync(text));
        EXPECT_EQ(testing::largest_difference(session.logits(), twin.session->logits()), 0) << name_of(formats);
    }
}

TEST_F(DeviceGivesBack, WhileTheDeviceChoosesAStepAhead) {
    const SessionShape shape{.n_ctx = 8192, .n_batch = 64, .max_outputs = 1, .kv_format = Format::f16};
    const auto text = testing::tiny_tokens(30, shape_.n_vocab, 3);
    std::vector<TokenId> said[2];
    for (int i = 0; i < 2; ++i) {
        const auto running = testing::start_model(dir_ / "wide.gguf", vulkan(), shape);
        ASSERT_TRUE(running.session->sync(text));
        ASSERT_TRUE(running.session->start_choosing(
            Sampler::create({.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 5}).value()));
        for (int n = 0; n < 60; ++n) {
            const auto choice = running.session->next_choice(true);
            ASSERT_TRUE(choice) << choice.error().message;
            said[i].push_back(choice->token);
            if (i == 0 && n % 20 == 3) {
                EXPECT_GT(running.session->shrink(n < 40 ? 500'000 : UINT64_MAX).value(), 0u);
            }
        }
        running.session->stop_choosing();
    }
    EXPECT_EQ(said[0], said[1]);
}

TEST_F(DeviceGivesBack, AnEnginesTextsGoOnToTheBit) {
    const SessionShape shape{.pool_tokens = 4096,
                             .n_ctx = 512,
                             .n_batch = 256,
                             .max_outputs = 8,
                             .max_timelines = 4,
                             .kv_format = Format::f16};
    std::vector<std::vector<float>> rows[2];
    for (int i = 0; i < 2; ++i) {
        const auto batch = testing::start_batch(dir_ / "wide.gguf", vulkan(), shape);
        KvPool& pool = batch.runner->pool();
        // Used pages lie all over the pool.
        std::vector<Timeline> timelines;
        for (uint32_t t = 0; t < 8; ++t) {
            timelines.emplace_back(pool);
            testing::run_tokens(*batch.runner, timelines.back(), testing::tiny_tokens(200, shape_.n_vocab, t));
        }
        for (int t = 6; t >= 0; t -= 2) timelines.erase(timelines.begin() + t);
        if (i == 0) {
            std::vector<Timeline*> all;
            for (Timeline& timeline : timelines) all.push_back(&timeline);
            const uint64_t before = cache_memory().slab_bytes;
            const auto given = batch.runner->shrink(UINT64_MAX, 1200, all);
            ASSERT_TRUE(given) << given.error().message;
            EXPECT_EQ(pool.n_pages(), 38u);
            EXPECT_EQ(before - cache_memory().slab_bytes, *given);
            EXPECT_GT(pool.n_copied_pages(), 0u);
        }
        for (Timeline& timeline : timelines)
            rows[i].push_back(
                testing::run_tokens(*batch.runner, timeline, testing::tiny_tokens(20, shape_.n_vocab, 50), 3));
    }
    ASSERT_EQ(rows[0].size(), rows[1].size());
    for (size_t t = 0; t < rows[0].size(); ++t)
        EXPECT_EQ(testing::largest_difference(rows[0][t], rows[1][t]), 0) << "text " << t;
}

/// Host memory with a budget that a test sets; memory in use is what sessions plan.
class MadeUpBudget final : public testing::WatchedBackend {
  public:
    uint64_t budget_bytes = uint64_t{1} << 30, used_bytes = 0;
    MemoryBudget budget() const override { return {uint64_t{2} << 30, uint64_t{1} << 30, budget_bytes, used_bytes}; }
};

// As in run and chat: another program takes memory in the middle of an answer.
TEST(BudgetThatDrops, TheAnswerGoesOnAndTheShorterContextIsTold) {
    const auto path = std::filesystem::path(ATLAS_TEST_DATA) / "models" / "atlas-tiny-Q4_K_M.gguf";
    const auto file = gguf::File::open(path).value();
    const std::shared_ptr<const Tokenizer> tokenizer = Tokenizer::load(file).value();
    const auto prompt = tokenizer->encode("Once upon a time there was", {.add_special = true, .parse_special = false});
    GenerateOptions options;
    options.sampler.seed = 3;
    options.max_tokens = 100;
    std::string texts[2];
    std::vector<std::string> told;
    for (int i = 0; i < 2; ++i) {
        MadeUpBudget backend;
        const auto running =
            testing::start_model(path, backend, {.n_ctx = 2048, .n_batch = 32, .kv_format = Format::f16});
        Session& session = *running.session;
        backend.used_bytes = session.plan().total_bytes();
        const uint64_t page_bytes = session.plan().kv_bytes / (2048 / 32);
        BudgetWatch watch(
            backend, [&](const std::string& line) { told.push_back(line); },
            [&](uint64_t bytes) {
                const uint64_t given = session.shrink(bytes).value();
                backend.used_bytes -= given;
                return BudgetWatch::GivenBack{given, fmt::format("{} tokens are left", session.n_ctx())};
            });
        int pieces = 0;
        const auto emit = [&](std::string_view) {
            if (i == 1 && ++pieces == 20) backend.budget_bytes = backend.used_bytes - 10 * page_bytes;
            if (i == 1 && pieces == 60) backend.budget_bytes = backend.used_bytes / 2;
            watch.look();
        };
        texts[i] = generate(session, tokenizer, prompt, options, emit).value().text;
        EXPECT_EQ(session.n_ctx() < 2048, i == 1);
        if (i == 0) continue;
        ASSERT_EQ(told.size(), 2u);
        EXPECT_NE(told[0].find("1728 tokens are left"), std::string::npos) << told[0];
        EXPECT_NE(told[1].find("may move"), std::string::npos) << "more than the cache could give: " << told[1];
        EXPECT_TRUE(watch.told());
        const auto longer =
            generate(session, tokenizer, testing::tiny_tokens(session.n_ctx() + 1, 500, 1), options, {});
        ASSERT_FALSE(longer);
        EXPECT_EQ(longer.error().code, ErrorCode::limit);
        EXPECT_NE(longer.error().message.find("other programs"), std::string::npos) << longer.error().message;
    }
    EXPECT_EQ(texts[0], texts[1]);
}

}  // namespace
}  // namespace atlas
