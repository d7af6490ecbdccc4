// The Vulkan backend against another runtime's logits, for whole chunks and token by token.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "tests/end_to_end/validated_backend.h"
#include "tests/support/golden_logits.h"

namespace atlas {
namespace {

class GoldenLogitsVk : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(GoldenLogitsVk, AreThoseOfAnotherRuntime) {
    // f32 sums in another order than the reference's doubles.
    testing::expect_golden(GetParam(), vulkan(), 80, 2e-4f);
    testing::expect_golden(GetParam(), vulkan(), 1, 2e-4f);
    expect_no_validation_messages();
}

class GoldenLogitsPlanar : public GoldenLogitsVk {};

// As on a graphics card: weights are regrouped while they are loaded, and kernels read them so.
TEST_P(GoldenLogitsPlanar, AreTheSameWithACardsKernels) {
    VkBackendOptions options;
    options.validation = true;
    options.tune_for_gpu = true;
    options.weight_layout = Layout::planar;
    options.pipeline_cache = std::string(ATLAS_BINARY_DIR) + "/test_end_to_end.planar.pipelines";
    const auto backend = make_vk_backend(options);
    ASSERT_TRUE(backend) << backend.error().message;
    testing::expect_golden(GetParam(), **backend, 16, 2e-4f);
    for (const vk::ValidationMessage& message : (*backend)->take_validation_messages())
        ADD_FAILURE() << message.id << ": " << message.text;
}

std::string name_of(const ::testing::TestParamInfo<std::filesystem::path>& file) {
    std::string name = file.param.stem().string();
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

// A CPU compiles a card's kernels for up to 40 seconds for a model; the other families run the kernels of these.
std::vector<std::filesystem::path> planar_files() {
    constexpr auto kChosen = std::to_array<std::string_view>(
        {"atlas-tiny-Q4_K_M", "atlas-tiny-Q8_0", "llama", "llama_biases", "gpt_oss", "qwen3moe", "qwen35"});
    std::vector<std::filesystem::path> files = testing::golden_files();
    std::erase_if(files,
                  [&](const auto& file) { return std::ranges::find(kChosen, file.stem().string()) == kChosen.end(); });
    return files;
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenLogitsVk, ::testing::ValuesIn(testing::golden_files()), name_of);
INSTANTIATE_TEST_SUITE_P(Files, GoldenLogitsPlanar, ::testing::ValuesIn(planar_files()), name_of);

}  // namespace
}  // namespace atlas
