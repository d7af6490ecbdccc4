// Matrix products by cooperative matrices whose sums over 32 columns are halves, against RefOps, where errors would be
// largest; and that they are never a default. Devices without such matrices skip the first, and say so.
#include "tests/kernels/variants.h"

namespace atlas::test {
namespace {

constexpr double kHalf = 1.0 / (1 << 11);  // half of a half's last place, relative
constexpr uint32_t kPeriod = 32;           // of matmul_coopmat.comp
enum { kK = 7 };                           // its constant

bool has_half_sums(const MatmulVariant& v) { return v.family == KernelFamily::matmul_coopmat_half_sums; }

class CoopmatHalfSums : public VariantTest {
  protected:
    void SetUp() override {
        if (candidates({Format::f16, 64, 64, 64}, has_half_sums).empty()) {
            GTEST_SKIP() << vk().caps().name << " has no cooperative matrix of halves with sums of both halves and f32";
        }
    }

    void check_all(const VariantCase& c) {
        const auto variants = candidates(c.shape, has_half_sums);
        ASSERT_FALSE(variants.empty());
        const double rounding = c.shape.weight == Format::f16 && (c.exact_halves || c.x) ? 0 : kHalf;
        for (const MatmulVariant& v : variants) check(v, c, rounding, rounding, kPeriod / v.constants[kK]);
    }
};

TEST_F(CoopmatHalfSums, EveryFormat) {
    for (size_t f = 0; f < kFormats.size(); ++f) {
        const Format format = static_cast<Format>(f);
        check_all({{format, 67, whole_blocks(format, 320), 33}});
    }
}

TEST_F(CoopmatHalfSums, OddSizes) {
    for (const uint32_t n_in : {1u, 31u, 33u, 130u})
        check_all({.shape = {Format::f16, 17, n_in, 25}, .exact_halves = true});
    for (const uint32_t n : {64u, 97u, 129u}) check_all({.shape = {Format::f16, 129, 96, n}, .exact_halves = true});
}

// As Qwen's: one activation of thousands, the others around 1, so that these are small beside the scale of the token.
TEST_F(CoopmatHalfSums, LargeActivations) {
    check_all({.shape = {Format::f16, 20, 256, 33}, .exact_halves = true, .outlier = 16384});
    check_all({.shape = {Format::q8_0, 20, 256, 33}, .outlier = -1e6f});
    check_all({.shape = {Format::f16, 20, 256, 40}, .exact_halves = true, .scale = [](uint32_t t) {
                   return t % 5 == 0 ? 0.0 : std::ldexp(1.0, int(t) * 6 - 110);
               }});
}

// All of one sign: every sum is as large as the products allow, and is rounded by the most.
TEST_F(CoopmatHalfSums, LongRowsOfOneSign) {
    check_all({.shape = {Format::f16, 9, 8192 + 32, 33},
               .w = [](uint32_t o, uint32_t i) { return (32 + (7 * o + 11 * i) % 29) / 64.0; },
               .x = [](uint32_t t, uint32_t i) { return (64 + (5 * t + 3 * i) % 61) / 128.0; }});
}

// Each period's sum is cancelled by the next one, and in the second test within a period.
TEST_F(CoopmatHalfSums, CancellingSums) {
    for (const uint32_t run : {kPeriod, 8u, 1u}) {
        check_all({.shape = {Format::f16, 33, 2048, 33},
                   .w = [](uint32_t o, uint32_t i) { return (33 + (o + i % 8) % 31) / 64.0; },
                   .x = [run](uint32_t t, uint32_t i) { return (i / run % 2 == 0 ? 1.0 : -1.0) * (65 + t) / 128.0; }});
    }
}

// Sums that halves cannot hold are found, and computed again with f32 sums: nothing but their rounding is off then.
TEST_F(CoopmatHalfSums, OverflowIsFoundAndComputedAgain) {
    for (const double weight : {8.0, 60000.0}) {
        const auto only_one = [weight](uint32_t o, uint32_t i) {
            return (o == 5 && i >= 64 && i < 96 ? weight : 0.25) * (i % 3 == 0 ? 1 : 0.75);
        };
        const VariantCase c{.shape = {Format::f16, 70, 160, 70}, .w = only_one, .x = [](uint32_t t, uint32_t i) {
                                return 1.0 + ((t + i) % 16) / 16.0;
                            }};
        for (const MatmulVariant& v : candidates(c.shape, has_half_sums)) check(v, c, 0, 0, kPeriod / v.constants[kK]);
        // The row in question alone, and exact.
        VariantCase row = c;
        row.shape.n_out = 1;
        row.w = [&](uint32_t, uint32_t i) { return only_one(5, i); };
        for (const MatmulVariant& v : candidates(row.shape, has_half_sums)) check(v, row, 0, 0, 0);
    }
}

// The choice, for made-up cards.

vk::DeviceCaps card() {
    using vk::ComponentType;
    vk::DeviceCaps caps;
    caps.type = vk::DeviceType::discrete;
    caps.fp16 = caps.coopmat = caps.subgroup_size_control = true;
    caps.min_subgroup_size = caps.subgroup_size = caps.max_subgroup_size = 32;
    caps.max_workgroup_invocations = 1024;
    caps.max_workgroup_size = {1024, 1024, 64};
    caps.max_shared_bytes = 49152;
    caps.coopmat_shapes = {
        {16, 16, 16, ComponentType::f16, ComponentType::f16, ComponentType::f32, ComponentType::f32, true, false},
        {16, 8, 16, ComponentType::f16, ComponentType::f16, ComponentType::f32, ComponentType::f32, true, false},
        {16, 8, 16, ComponentType::f16, ComponentType::f16, ComponentType::f16, ComponentType::f16, true, false}};
    return caps;
}

std::vector<MatmulVariant> offered(const vk::DeviceCaps& caps, uint32_t n_tokens) {
    std::vector<MatmulVariant> out = matmul_candidates(caps, {Format::q4_k, 4096, 4096, n_tokens});
    std::erase_if(out, [](const MatmulVariant& v) { return !has_half_sums(v); });
    return out;
}

TEST(CoopmatHalfSumsChoice, OnlyWhereTuningFoundThemFaster) {
    if (!has_kernel(KernelFamily::matmul_coopmat_half_sums, Format::q4_k))
        GTEST_SKIP() << "this build's shader compiler knows no cooperative matrices";
    for (const uint32_t n_tokens : {25u, 64u, 512u}) {
        const MatmulShape shape{Format::q4_k, 4096, 4096, n_tokens};
        const auto found = offered(card(), n_tokens);
        ASSERT_FALSE(found.empty());
        EXPECT_FALSE(has_half_sums(choose_matmul(card(), {}, shape))) << "a default";
        KernelChoices all_else_wrong;
        for (const MatmulVariant& v : matmul_candidates(card(), shape)) {
            if (v.family == KernelFamily::matmul_coopmat)
                all_else_wrong.rejected.insert(rejection_key(v, shape.weight));
        }
        EXPECT_FALSE(has_half_sums(choose_matmul(card(), all_else_wrong, shape))) << "what comes next is exact";
        KernelChoices tuned;
        tuned.preferred[tuning_key(shape)] = found.front().name();
        EXPECT_EQ(choose_matmul(card(), tuned, shape).name(), found.front().name());
        tuned.rejected.insert(rejection_key(found.front(), shape.weight));
        EXPECT_FALSE(has_half_sums(choose_matmul(card(), tuned, shape))) << "its self-test failed";
    }
}

TEST(CoopmatHalfSumsChoice, OnlyWhereTheDeviceOffersThem) {
    if (!has_kernel(KernelFamily::matmul_coopmat_half_sums, Format::q4_k))
        GTEST_SKIP() << "this build's shader compiler knows no cooperative matrices";
    vk::DeviceCaps caps = card();
    for (const MatmulVariant& v : offered(caps, 512))
        EXPECT_EQ(v.constants[6], 8u) << "the shape that has both sums: " << v.name();
    EXPECT_TRUE(offered(caps, 24).empty()) << "what a token gets must not depend on the tokens beside it";
    caps.type = vk::DeviceType::software;
    EXPECT_TRUE(offered(caps, 512).empty());
    caps = card();
    caps.coopmat_shapes.pop_back();
    EXPECT_TRUE(offered(caps, 512).empty());
}

}  // namespace
}  // namespace atlas::test
