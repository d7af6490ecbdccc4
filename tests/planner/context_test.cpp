#include "runtime/planner/context.h"

#include <gtest/gtest.h>

#include "runtime/base/units.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/support/watched_backend.h"

namespace atlas {
namespace {

class Budgeted final : public testing::WatchedBackend {
  public:
    MemoryBudget now;
    MemoryBudget budget() const override { return now; }
};

class ContextChoosing : public ::testing::Test {
  protected:
    void SetUp() override {
        // 2 layers of 2 heads of 64: 512 bytes of f16 cache per token, a native context of a million tokens: 512 MiB.
        testing::TinyShape shape = testing::tiny_shape("llama super");
        shape.n_ctx_train = 1 << 20;
        testing::write_tiny_model(dir_ / "long.gguf", shape);
        file_ = std::make_unique<gguf::File>(gguf::File::open(dir_ / "long.gguf").value());
        catalogue_ = load_catalogue({}).value();
    }
    Result<ContextChoice> choose(uint64_t total, uint64_t available, const ContextWish& wish) {
        backend_.now = {total, available, available, 0};
        return choose_context(*file_, backend_, wish, catalogue_);
    }
    uint64_t bytes_of(uint32_t n_ctx) {
        SessionShape shape;
        shape.n_ctx = n_ctx;
        return plan_file(*file_, shape).value().total_bytes();
    }

    TempDir dir_;
    std::unique_ptr<gguf::File> file_;
    Budgeted backend_;
    Catalogue catalogue_;
};

TEST_F(ContextChoosing, ACardGivesAllButASixteenth) {
    const auto choice = choose(320 * kMiB, 300 * kMiB, {}).value();
    EXPECT_GE(choice.left_free_bytes, 20 * kMiB);
    EXPECT_LT(choice.plan.n_ctx, choice.n_ctx_native);
    EXPECT_GT(bytes_of(choice.plan.n_ctx + kPageTokens), 280 * kMiB) << "a page more would take of the sixteenth";
    EXPECT_EQ(choose(100 * kGiB, 90 * kGiB, {}).value().plan.n_ctx, 1u << 20) << "never more than the model's own";
}

TEST_F(ContextChoosing, SharedMemoryGivesASixteenthOfWhatIsFreeButAUsefulContext) {
    ContextWish wish;
    wish.shared_memory = true;
    const auto choice = choose(4 * kGiB, 3 * kGiB, wish).value();
    EXPECT_LE(choice.plan.session_bytes(), 192 * kMiB);
    EXPECT_GT(bytes_of(choice.plan.n_ctx + kPageTokens) - choice.plan.weights_bytes, 192 * kMiB);
    EXPECT_EQ(choose(120 * kMiB, 100 * kMiB, wish).value().plan.n_ctx, 8192u)
        << "a sixteenth of 100 MiB is too little to be of use";
}

TEST_F(ContextChoosing, WhatWasAskedForIsTakenOrRefusedWithWhatFits) {
    ContextWish wish;
    wish.shape.n_ctx = 200000;
    const uint64_t needed = bytes_of(200000);
    EXPECT_EQ(choose(kGiB, needed, wish).value().plan.n_ctx, 200000u);
    const auto refused = choose(kGiB, needed - 1, wish);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::out_of_memory);
    const std::string& said = refused.error().message;
    for (const char* word : {"200000 tokens", "weights", "f16 cache", "scratch", "--ctx 199968 --kv f16",
                             "--ctx 200000 --kv q8_0", "--ctx 200000 --kv q4_0"}) {
        EXPECT_NE(said.find(word), std::string::npos) << word << " in: " << said;
    }
    EXPECT_EQ(backend_.counts.uploads, 0);
    EXPECT_EQ(backend_.counts.allocations, 0);
}

TEST_F(ContextChoosing, KeepFreeIsKept) {
    ContextWish wish;
    wish.shape.n_ctx = 4096;
    const uint64_t needed = bytes_of(4096);
    wish.keep_free_bytes = 10 * kMiB;
    EXPECT_TRUE(choose(kGiB, needed + 10 * kMiB, wish));
    const auto refused = choose(kGiB, needed + 10 * kMiB - 1, wish);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("10.0 MiB kept free as asked"), std::string::npos)
        << refused.error().message;
}

// Regression: a context was chosen whose keys no device allocation could hold, and then the session failed.
TEST_F(ContextChoosing, NoStorageIsLargerThanTheDeviceAllows) {
    backend_.largest_bytes = 128 * kMiB;  // the keys of one layer: 256 bytes per token
    EXPECT_EQ(choose(100 * kGiB, 90 * kGiB, {}).value().plan.n_ctx, 1u << 19);
    ContextWish wish;
    wish.shape.n_ctx = 1 << 20;
    const auto refused = choose(100 * kGiB, 90 * kGiB, wish);
    ASSERT_FALSE(refused);
    for (const char* word : {"at most 128 MiB in one piece", "need 256 MiB", "--ctx 524288 --kv f16"})
        EXPECT_NE(refused.error().message.find(word), std::string::npos) << word << " in: " << refused.error().message;
}

TEST_F(ContextChoosing, ACardWithRoomForASmallerModelNamesIt) {
    ContextWish wish;
    wish.shape.n_ctx = 1 << 17;
    testing::TinyShape large = testing::tiny_shape("llama super");
    large.n_layer = 120;
    large.n_ctx_train = 1 << 20;
    testing::write_tiny_model(dir_ / "deep.gguf", large);
    file_ = std::make_unique<gguf::File>(gguf::File::open(dir_ / "deep.gguf").value());
    const auto refused = choose(7 * kGiB, 6 * kGiB, wish);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("atlas-vk plan --model"), std::string::npos) << refused.error().message;
}

// A requested quantized cache is rotated by default, and it is still offered only once.
TEST_F(ContextChoosing, NoFormatIsOfferedTwice) {
    for (const Format format : {Format::q8_0, Format::q4_0}) {
        ContextWish wish;
        wish.shape.n_ctx = 1 << 20;
        wish.shape.kv_format = with_default_rotation(format);
        const auto refused = choose(kGiB, 20 * kMiB, wish);
        ASSERT_FALSE(refused);
        const std::string& said = refused.error().message;
        const auto word = fmt::format("--kv {}", info(format).name);
        ASSERT_NE(said.find(word), std::string::npos) << said;
        EXPECT_EQ(said.find(word), said.rfind(word)) << said;
    }
}

// Both are loaded one after the other, so the choice must leave room for the second.
TEST_F(ContextChoosing, ADraftIsReckonedWith) {
    testing::TinyShape small = testing::tiny_shape("llama super");
    small.n_layer = 1;
    small.n_ctx_train = 65536;
    testing::write_tiny_model(dir_ / "small.gguf", small);
    const auto draft = gguf::File::open(dir_ / "small.gguf").value();
    const ModelConfig config = resolve_file(draft).value().config;
    const auto both_bytes = [&](uint32_t n_ctx) {
        SessionShape shape;
        shape.n_ctx = n_ctx;
        const MemoryPlan target = plan_file(*file_, shape).value();
        return together(target, plan_file(draft, draft_session(config, n_ctx, Format::f16)).value()).total_bytes();
    };
    ContextWish wish;
    wish.draft = &draft;
    const auto choice = choose(320 * kMiB, 300 * kMiB, wish).value();
    const uint32_t n_ctx = choice.plan.n_ctx;
    EXPECT_LT(n_ctx, choose(320 * kMiB, 300 * kMiB, {}).value().plan.n_ctx);
    EXPECT_EQ(choice.plan.total_bytes() + choice.draft_bytes, both_bytes(n_ctx));
    EXPECT_EQ(choice.left_free_bytes, 300 * kMiB - both_bytes(n_ctx));
    EXPECT_GE(choice.left_free_bytes, 20 * kMiB);
    EXPECT_GT(both_bytes(n_ctx + kPageTokens), 280 * kMiB) << "a page more would take of the sixteenth";
    EXPECT_EQ(draft_session(config, 100000, Format::q8_0).n_ctx, 65536u) << "at most the draft's own";
    EXPECT_EQ(draft_session(config, 100000, Format::q8_0).kv_format, KvFormats(Format::q8_0));

    wish.shape.n_ctx = 200000;
    const uint64_t needed = both_bytes(200000);
    EXPECT_EQ(choose(kGiB, needed, wish).value().plan.n_ctx, 200000u);
    const auto refused = choose(kGiB, needed - 1, wish);
    ASSERT_FALSE(refused);
    for (const char* word : {"for the draft small.gguf", "--ctx 199968 --kv f16", "--draft none --ctx 200000 --kv f16",
                             "--ctx 200000 --kv q8_0"}) {
        EXPECT_NE(refused.error().message.find(word), std::string::npos) << word << " in: " << refused.error().message;
    }
    const auto hopeless = choose(kMiB, 100 * kKiB, wish);
    ASSERT_FALSE(hopeless);
    EXPECT_EQ(hopeless.error().code, ErrorCode::out_of_memory);
}

}  // namespace
}  // namespace atlas
