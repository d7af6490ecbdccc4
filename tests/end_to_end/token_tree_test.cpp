// Trees of draft tokens on a device: every node as if its branch were decoded token by token, to the bit, in caches
// of every kind.
#include <gtest/gtest.h>

#include "tests/end_to_end/validated_backend.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tree_check.h"

namespace atlas {
namespace {

class TokenTreeVk : public ::testing::TestWithParam<Format> {};

TEST_P(TokenTreeVk, EveryNodeSaysWhatSingleStepsSay) {
    TempDir dir;
    const auto tiny = testing::tiny_shape("llama biases whole");
    testing::write_tiny_model(dir / "tiny.gguf", tiny);
    const auto batch = testing::start_batch(dir / "tiny.gguf", vulkan(),
                                            {.pool_tokens = 512,
                                             .n_ctx = 128,
                                             .n_batch = 24,
                                             .max_outputs = 24,
                                             .max_timelines = 8,
                                             .kv_format = GetParam()});
    const auto alone = testing::start_model(dir / "tiny.gguf", vulkan(),
                                            {.n_ctx = 128, .n_batch = 24, .max_outputs = 1, .kv_format = GetParam()});
    testing::expect_tree_as_linear(*batch.runner, *alone.session, tiny.n_vocab);
    expect_no_validation_messages();
}

INSTANTIATE_TEST_SUITE_P(Caches, TokenTreeVk, ::testing::Values(Format::f32, Format::f16, Format::q8_0, Format::q4_0),
                         [](const auto& cache) { return std::string(atlas::info(cache.param).name); });

}  // namespace
}  // namespace atlas
