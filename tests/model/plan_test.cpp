#include <gtest/gtest.h>

#include "runtime/model/load.h"
#include "runtime/model/memory_plan.h"
#include "runtime/ops/dry_ops.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace atlas {
namespace {

class Planning : public ::testing::Test {
  protected:
    void SetUp() override {
        testing::write_tiny_model(dir_ / "tiny.gguf", testing::tiny_shape("llama"));
        file_ = std::make_unique<gguf::File>(gguf::File::open(dir_ / "tiny.gguf").value());
        architecture_ = find_architecture(*file_).value();
        config_ = architecture_->read_config(FileKeys(*file_)).value();
        weights_ =
            resolve_weights(*file_, architecture_->weights(config_), config_, [](Format) { return true; }).value();
    }
    PlanInput input() const { return {config_, weights_, architecture_->forward}; }

    TempDir dir_;
    std::unique_ptr<gguf::File> file_;
    const Architecture* architecture_ = nullptr;
    ModelConfig config_;
    std::vector<ResolvedWeight> weights_;
};

TEST_F(Planning, CountsWhatCanBeCountedByHand) {
    const MemoryPlan plan =
        plan_memory(input(), {.n_ctx = 70, .n_batch = 8, .max_outputs = 4, .kv_format = Format::f16}).value();
    EXPECT_EQ(plan.n_ctx, 96u) << "whole pages";
    // Two layers, K and V, 96 rows of one head of 24 halves.
    EXPECT_EQ(plan.kv_bytes, 2u * 2 * 96 * 24 * 2);
    // Embedding and output of 97 rows; q and o of 72, k and v of 24, three feed-forward matrices of 160; five norms.
    const uint64_t n_weights = 2 * 97 * 96 + 2 * (2 * 72 * 96 + 2 * 24 * 96 + 3 * 160 * 96) + 5 * 96;
    // Storages are whole multiples of 256 bytes: the five norms of 384 bytes and the embedding and output of 37248 each
    // take 128 more.
    EXPECT_EQ(plan.weights_bytes, 4 * n_weights + 7 * 128);
    EXPECT_EQ(plan.output_bytes, (4u * 97 * 4 / 256 + 1) * 256 + 512 + 24 * 32);
    EXPECT_EQ(plan.step_bytes, 256u + 256 + 256 + 2 * 256 + 256 + 1280 + 2560)
        << "numbers of copied pages, 232 and 12 bytes, two places ahead, 256 + 258 words, 24 rows of 25 words";
    EXPECT_EQ(plan.total_bytes(), plan.weights_bytes + plan.session_bytes());
}

TEST_F(Planning, MoreOfAnythingNeverNeedsLess) {
    const SessionShape small{.n_ctx = 64, .n_batch = 8, .max_outputs = 1, .kv_format = Format::f16};
    const MemoryPlan base = plan_memory(input(), small).value();
    SessionShape longer = small, wider = small, outputs = small, exact = small;
    longer.n_ctx = 4096;
    wider.n_batch = 64;
    outputs.max_outputs = 8;
    exact.kv_format = Format::f32;
    EXPECT_EQ(plan_memory(input(), longer).value().kv_bytes, base.kv_bytes * 64);
    EXPECT_GE(plan_memory(input(), longer).value().scratch_bytes, base.scratch_bytes);
    EXPECT_GT(plan_memory(input(), wider).value().scratch_bytes, base.scratch_bytes);
    EXPECT_GT(plan_memory(input(), outputs).value().output_bytes, base.output_bytes);
    EXPECT_EQ(plan_memory(input(), exact).value().kv_bytes, base.kv_bytes * 2);
}

// Attention splits long keys in steps of few tokens: a step of one can need more scratch than the whole batch.
TEST_F(Planning, ScratchCoversTheSmallStepsToo) {
    const SessionShape shape{.n_ctx = 1u << 20, .n_batch = 2, .max_outputs = 1, .kv_format = Format::f16};
    const LayerConfig& layer = config_.layers[0];
    const AttentionParams attention{layer.n_head, layer.n_head_kv, layer.head_dim, 1.0f};
    const uint64_t needed = attention_scratch_bytes(1, attention, 1u << 20);
    ASSERT_GT(needed, 0u);
    EXPECT_GE(plan_memory(input(), shape).value().scratch_bytes, needed);
}

TEST_F(Planning, TheLargestContextThatFitsIsTheLargest) {
    SessionShape shape{.n_ctx = 4096, .n_batch = 8};
    shape.n_ctx = 1024;
    const uint64_t budget = plan_memory(input(), shape).value().total_bytes();
    shape.n_ctx = 0;
    config_.n_ctx_train = 100000;
    EXPECT_EQ(plan_within(input(), shape, {budget}).value().n_ctx, 1024u);
    EXPECT_EQ(plan_within(input(), shape, {budget - 1}).value().n_ctx, 1024u - kPageTokens);
    shape.n_ctx = 1024;
    EXPECT_TRUE(plan_within(input(), shape, {budget}).has_value());
    const auto refused = plan_within(input(), shape, {budget - 1});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::out_of_memory);
    const std::string& message = refused.error().message;
    EXPECT_NE(message.find(fmt::format("{} bytes are needed", budget)), std::string::npos) << message;
    EXPECT_NE(message.find(fmt::format("{} bytes", budget - 1)), std::string::npos) << message;
    EXPECT_NE(message.find("context of 992 tokens would fit"), std::string::npos) << message;
}

TEST_F(Planning, WithoutAContextTheModelsOwnIsTaken) {
    EXPECT_EQ(plan_within(input(), {.n_ctx = 0}, {uint64_t{1} << 40}).value().n_ctx, 256u);
}

TEST_F(Planning, LoadedWeightsAreNotCountedTwice) {
    const SessionShape shape{.n_ctx = 64, .n_batch = 8};
    const MemoryPlan plan = plan_memory(input(), shape).value();
    Room room{.available_bytes = plan.session_bytes(), .weights_loaded = true};
    EXPECT_TRUE(plan_within(input(), shape, room).has_value());
    EXPECT_FALSE(plan_within(input(), shape, {plan.session_bytes()}).has_value());
    room.available_bytes -= 1;
    EXPECT_FALSE(plan_within(input(), shape, room).has_value());
}

TEST_F(Planning, ScratchThatIsThereIsNotAskedForAgain) {
    const SessionShape shape{.n_ctx = 64, .n_batch = 8};
    const MemoryPlan plan = plan_memory(input(), shape).value();
    ASSERT_GT(plan.scratch_bytes, 100u);
    for (const uint64_t reserved : {plan.scratch_bytes - 100, plan.scratch_bytes + 100}) {
        const uint64_t needed = plan.total_bytes() - std::min(reserved, plan.scratch_bytes);
        Room room{.available_bytes = needed, .reserved_scratch_bytes = reserved};
        EXPECT_TRUE(plan_within(input(), shape, room).has_value());
        room.available_bytes -= 1;
        EXPECT_FALSE(plan_within(input(), shape, room).has_value());
    }
}

// A device limits a single allocation: the context is as long as its largest storage may be, not only its sum.
TEST_F(Planning, AStorageIsNoLargerThanTheDeviceAllows) {
    SessionShape shape{.n_ctx = 65536, .n_batch = 8};
    const uint64_t page_bytes = 32 * 24 * 2;  // of the keys of a layer
    Room room{.available_bytes = uint64_t{1} << 40, .max_storage_bytes = 1000 * page_bytes};
    const auto refused = plan_within(input(), shape, room);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::limit);
    EXPECT_NE(refused.error().message.find("65536 tokens need 3145728 bytes"), std::string::npos)
        << refused.error().message;
    shape.n_ctx = 0;
    config_.n_ctx_train = 65536;
    EXPECT_EQ(plan_within(input(), shape, room).value().n_ctx, 1000u * kPageTokens);
}

// Every length is the answer for some room, and where not one page fits there is none.
TEST_F(Planning, TheLongestContextIsFoundFromAnyGuess) {
    const auto at = [](uint32_t n_ctx) {
        MemoryPlan plan;
        plan.n_ctx = (n_ctx + kPageTokens - 1) / kPageTokens * kPageTokens;
        plan.kv_bytes = 1000 + uint64_t{plan.n_ctx} * plan.n_ctx;  // so far from a line that the estimate is far off
        return plan;
    };
    for (uint32_t pages = 1; pages <= 300; ++pages) {
        const uint64_t needed = at(pages * kPageTokens).total_bytes();
        EXPECT_EQ(longest_fitting({needed}, 1, 300 * kPageTokens, at)->n_ctx, pages * kPageTokens);
        const auto less = longest_fitting({needed - 1}, 1, 300 * kPageTokens, at);
        EXPECT_EQ(less ? less->n_ctx : 0, (pages - 1) * kPageTokens);
        EXPECT_FALSE(longest_fitting({needed - 1}, pages * kPageTokens, 300 * kPageTokens, at));
        EXPECT_EQ(longest_fitting({needed}, pages * kPageTokens, 300 * kPageTokens, at)->n_ctx, pages * kPageTokens);
    }
}

TEST_F(Planning, NonsenseIsNamed) {
    EXPECT_NE(plan_memory(input(), {.n_batch = 0}).error().message.find("batch of 0"), std::string::npos);
    EXPECT_NE(plan_memory(input(), {.n_batch = 4, .max_outputs = 5}).error().message.find("5 outputs"),
              std::string::npos);
    EXPECT_NE(plan_memory(input(), {.kv_format = Format::q4_k}).error().message.find("q4_k"), std::string::npos);
    EXPECT_FALSE(plan_memory(input(), {.n_ctx = 4000000000u}).has_value());
}

TEST_F(Planning, AFileCanBePlannedWithoutADevice) {
    const SessionShape shape{.n_ctx = 64, .n_batch = 8};
    EXPECT_EQ(plan_file(*file_, shape).value().total_bytes(), plan_memory(input(), shape).value().total_bytes());
}

// Qwen3.5-27B: 48 layers of 16 key and 48 value heads of 128, whose state takes 157 MB in all.
TEST(StateCounts, AreBoundedByBytes) {
    ModelConfig large;
    large.layers.resize(64);
    for (size_t il = 0; il < large.layers.size(); ++il) {
        if (il % 4 == 3) continue;
        large.layers[il].mixer = Mixer::delta_net;
        large.layers[il].delta_net = {.n_k_heads = 16, .n_v_heads = 48, .head_dim = 128, .conv_width = 4};
    }
    const SessionShape shape{.max_outputs = 24, .max_timelines = 2};
    const StateCounts counts = state_counts(large, shape);
    EXPECT_EQ(counts.n_rows, 6u);
    EXPECT_EQ(counts.n_checkpoints, 3u);
    EXPECT_EQ(counts.n_slots, 1u + 2 * 2 + 6 + 3);
    EXPECT_EQ(state_counts(large, {.max_outputs = 1}).n_rows, 1u);
    EXPECT_EQ(state_counts(large, {.max_checkpoints = 20}).n_checkpoints, 20u);
    EXPECT_EQ(state_counts(large, {.max_checkpoints = 0}).n_checkpoints, 0u);

    ModelConfig small = large;
    small.layers.resize(2);
    EXPECT_EQ(state_counts(small, shape).n_rows, 24u);
    EXPECT_EQ(state_counts(small, shape).n_checkpoints, 8u);

    ModelConfig without;
    without.layers.resize(2);
    EXPECT_EQ(state_counts(without, shape).n_rows, 24u);
    EXPECT_EQ(state_counts(without, shape).n_slots, 0u);
}

}  // namespace
}  // namespace atlas
