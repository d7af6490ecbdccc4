#include "runtime/session/batch/token_tree.h"

#include <gtest/gtest.h>

#include "tests/reference/ref_backend.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tree_check.h"

namespace atlas {
namespace {

constexpr SessionShape kShape{
    .pool_tokens = 512, .n_ctx = 128, .n_batch = 24, .max_outputs = 24, .max_timelines = 8, .kv_format = Format::f32};

class TokenTrees : public ::testing::Test {
  protected:
    TokenTrees() { testing::write_tiny_model(dir_ / "tiny.gguf", testing::smallest_shape()); }
    TempDir dir_;
    std::unique_ptr<Backend> backend_ = make_ref_backend();
};

TEST_F(TokenTrees, BranchesAreTheWaysToTheLeaves) {
    const std::vector<TokenId> tokens = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    const TokenTree tree = testing::bushy_tree(tokens);
    const std::vector<std::vector<uint32_t>> wanted = {{0, 1, 2, 3, 4}, {0, 1, 2, 5}, {0, 6, 7}, {0, 8}};
    EXPECT_EQ(tree.branches(), wanted);
    TokenTree one;
    (void)one.add(0, 3);
    EXPECT_EQ(one.branches(), std::vector<std::vector<uint32_t>>{{0}});
    EXPECT_EQ(one.n_columns(), 1u);
}

TEST_F(TokenTrees, EveryNodeSaysWhatSingleStepsSay) {
    const auto batch = testing::start_batch(dir_ / "tiny.gguf", *backend_, kShape);
    const auto alone = testing::start_model(dir_ / "tiny.gguf", *backend_,
                                            {.n_ctx = 128, .n_batch = 24, .max_outputs = 1, .kv_format = Format::f32});
    testing::expect_tree_as_linear(*batch.runner, *alone.session, 13);
    batch.runner->pool().forget_kept();
    EXPECT_EQ(batch.runner->pool().n_in_use(), 0u) << "pages leaked";
}

TEST_F(TokenTrees, TheWalkFollowsWhatWasChosen) {
    const auto batch = testing::start_batch(dir_ / "tiny.gguf", *backend_, kShape);
    const auto text = testing::tiny_tokens(20, 13, 3);
    Timeline timeline(batch.runner->pool());
    (void)testing::run_tokens(*batch.runner, timeline, text);
    // The tokens of greedy decoding, one by one.
    std::vector<TokenId> greedy = {5};
    Timeline twin = timeline.fork();
    for (int i = 0; i < 4; ++i) {
        const auto row = testing::run_tokens(*batch.runner, twin, {greedy.back()});
        greedy.push_back(static_cast<TokenId>(std::max_element(row.begin(), row.end()) - row.begin()));
    }
    TokenTree tree;  // accepted three deep, with wrong nodes beside and before them
    (void)tree.add(0, greedy[0]);
    (void)tree.add(0, (greedy[1] + 1) % 13);
    const uint32_t first = tree.add(0, greedy[1]);
    (void)tree.add(first, (greedy[2] + 1) % 13);
    const uint32_t second = tree.add(first, greedy[2]);
    const uint32_t third = tree.add(second, (greedy[3] + 1) % 13);
    const std::vector<ChoiceParams> choices(8, sample_params({.temperature = 0}, 0, false, false));
    auto checked = check_tree(*batch.runner, timeline, tree, choices);
    ASSERT_TRUE(checked.has_value()) << checked.error().message;
    const auto way = walk(tree, *checked);
    ASSERT_TRUE(way.has_value());
    EXPECT_EQ(way->accepted, (std::vector<uint32_t>{first, second}));
    EXPECT_EQ(way->next, greedy[3]);
    EXPECT_LT(second, third);
}

TEST_F(TokenTrees, WithoutRoomNothingChanges) {
    SessionShape shape = kShape;
    shape.pool_tokens = 2 * kPageTokens;
    const auto batch = testing::start_batch(dir_ / "tiny.gguf", *backend_, shape);
    const auto text = testing::tiny_tokens(40, 13, 3);
    Timeline timeline(batch.runner->pool());
    (void)testing::run_tokens(*batch.runner, timeline, {text.begin(), text.begin() + 20});
    const auto checked = check_tree(*batch.runner, timeline, testing::bushy_tree(text));
    ASSERT_FALSE(checked.has_value());
    EXPECT_EQ(checked.error().code, ErrorCode::limit);
    EXPECT_EQ(timeline.tokens().size(), 20u);
    EXPECT_EQ(batch.runner->pool().n_in_use(), 1u);
}

}  // namespace
}  // namespace atlas
