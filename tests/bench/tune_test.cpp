// Tuning: which winners may stand together, and a whole run on small shapes.
#include "bench/tune.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "bench/model_shapes.h"
#include "runtime/kernels/self_test/self_test.h"

namespace atlas::bench {
namespace {

TimedVariant timed(KernelFamily family, uint32_t lanes, uint32_t tokens, double seconds) {
    MatmulVariant variant;
    variant.family = family;
    variant.constants = {64, lanes, tokens};
    variant.tile_tokens = tokens;
    return {variant, seconds, {float(lanes), family == KernelFamily::matvec ? 1.0f : 2.0f}};
}

TEST(BatchInvariantWinners, AreOneKernelAtAllWidths) {
    using enum KernelFamily;
    // matvec_rows is the fastest at one width and not there at the other; of matvec, 32 lanes are better on the whole.
    const auto winners =
        batch_invariant_winners({{timed(matvec_rows, 8, 1, 1.0), timed(matvec, 64, 1, 2.0), timed(matvec, 32, 1, 2.1)},
                                 {timed(matvec, 64, 8, 9.0), timed(matvec, 32, 8, 4.0)}});
    ASSERT_EQ(winners.size(), 2u);
    for (const TimedVariant& winner : winners) {
        EXPECT_EQ(winner.variant.family, matvec);
        EXPECT_EQ(winner.variant.constants[1], 32u);
    }
    EXPECT_EQ(winners[1].variant.tile_tokens, 8u);
}

TEST(BatchInvariantWinners, AreNoneWhereNothingCoversAllWidths) {
    using enum KernelFamily;
    EXPECT_TRUE(batch_invariant_winners({{timed(matvec_rows, 8, 1, 1.0)}, {timed(matvec, 64, 8, 9.0)}}).empty());
    EXPECT_TRUE(batch_invariant_winners({{timed(matvec, 64, 1, 1.0)}, {}}).empty());
}

std::unique_ptr<VkBackend> open_backend() {
    VkBackendOptions options;
    options.pipeline_cache = std::string(ATLAS_BINARY_DIR) + "/test_bench.pipelines";
    auto backend = make_vk_backend(options);
    EXPECT_TRUE(backend) << backend.error().message;
    return backend ? std::move(*backend) : nullptr;
}

TEST(Tune, FindsABatchInvariantWinnerForEveryWidth) {
    const auto backend = open_backend();
    ASSERT_TRUE(backend);
    const MatmulShape shape{Format::q4_0, 64, 256, 0};
    const auto result = tune(*backend, {shape}, {});
    ASSERT_TRUE(result) << result.error().message;
    ASSERT_TRUE(result->complete);
    ASSERT_EQ(result->products.size(), std::size(kTunedWidths));
    std::vector<float> first;  // of one token alone
    for (const TunedProduct& product : result->products) {
        const auto candidates = matmul_candidates(backend->caps(), product.shape);
        const auto winner = std::find_if(candidates.begin(), candidates.end(),
                                         [&](const auto& v) { return v.name() == product.winner; });
        ASSERT_TRUE(winner != candidates.end()) << product.winner << " x " << product.shape.n_tokens;
        EXPECT_EQ(result->choices.preferred.at(tuning_key(product.shape)), product.winner);
        EXPECT_TRUE(product.wrong.empty());
        if (product.shape.n_tokens > 32) continue;
        EXPECT_EQ(winner->x, XKind::f32) << "rounds activations without being allowed to";
        backend->choices().only = *winner;
        const auto token = matmul_first_token(*backend, product.shape);
        backend->choices().only.reset();
        ASSERT_TRUE(token);
        if (first.empty()) first = *token;
        EXPECT_EQ(*token, first) << product.winner << " x " << product.shape.n_tokens;
    }
    EXPECT_FALSE(backend->choices().only);
}

TEST(Tune, StopsInTime) {
    const auto backend = open_backend();
    ASSERT_TRUE(backend);
    TuneOptions options;
    options.seconds = 0;
    const auto result = tune(*backend, {{Format::q4_0, 64, 256, 0}}, options);
    ASSERT_TRUE(result);
    EXPECT_FALSE(result->complete);
    EXPECT_TRUE(result->choices.preferred.empty());
}

TEST(ModelShapes, AreEachShapeOnce) {
    const auto backend = open_backend();
    ASSERT_TRUE(backend);
    PlanBackend nowhere(backend->caps());
    const auto model = plan_shape("qwen2.5-coder-7b:q4_k_m", nowhere);
    ASSERT_TRUE(model) << model.error().message;
    const auto shapes = matrix_shapes((*model)->weights());
    // q and output, k, v in two formats, gate and up, down in two formats, output.
    EXPECT_EQ(shapes.size(), 7u);
    ASSERT_TRUE(plan_model_kernels(**model, {}));
    EXPECT_GT(nowhere.kernels().size(), 10u);
}

}  // namespace
}  // namespace atlas::bench
