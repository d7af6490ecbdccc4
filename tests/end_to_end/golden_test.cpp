// The Vulkan backend against another runtime's logits, for whole chunks and token by token.
#include <gtest/gtest.h>

#include "runtime/kernels/vk_backend.h"
#include "tests/support/golden_logits.h"

namespace atlas {
namespace {

class GoldenLogitsVk : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(GoldenLogitsVk, AreThoseOfAnotherRuntime) {
    const auto backend = make_vk_backend({});
    ASSERT_TRUE(backend.has_value()) << backend.error().message;
    // f32 sums in another order than the reference's doubles.
    testing::expect_golden(GetParam(), **backend, 80, 2e-4f);
    testing::expect_golden(GetParam(), **backend, 1, 2e-4f);
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenLogitsVk, ::testing::ValuesIn(testing::golden_files()), [](const auto& param) {
    std::string name = param.param.stem().string();
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
});

}  // namespace
}  // namespace atlas
