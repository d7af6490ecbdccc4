// The forward pass on the reference backend against another runtime's logits.
#include <gtest/gtest.h>

#include <set>

#include "tests/reference/ref_backend.h"
#include "tests/support/golden_logits.h"

namespace atlas {
namespace {

class GoldenLogits : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(GoldenLogits, AreThoseOfAnotherRuntime) {
    const auto backend = make_ref_backend();
    testing::expect_golden(GetParam(), *backend, 80, 5e-5f);
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenLogits, ::testing::ValuesIn(testing::golden_files()), [](const auto& param) {
    std::string name = param.param.stem().string();
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
});

TEST(GoldenLogits, CoverEveryArchitecture) {
    std::set<std::string, std::less<>> covered;
    for (const auto& path : testing::golden_files()) {
        const testing::Golden golden = testing::read_golden(path);
        if (!golden.words.empty()) covered.insert(testing::tiny_shape(golden.words).architecture);
    }
    for (const Architecture* architecture : runnable_architectures())
        EXPECT_TRUE(covered.contains(architecture->name)) << architecture->name;
}

}  // namespace
}  // namespace atlas
