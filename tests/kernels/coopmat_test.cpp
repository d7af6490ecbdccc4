// Matrix products by cooperative matrices, against RefOps. Devices without them skip, and say so.
#include "tests/kernels/variants.h"

namespace atlas::test {
namespace {

constexpr double kHalf = 1.0 / (1 << 11);  // half of a half's last place, relative

class Coopmat : public VariantTest {
  protected:
    void SetUp() override {
        if (candidates({Format::f16, 64, 64, 64}, is_coopmat).empty()) {
            GTEST_SKIP() << vk().caps().name
                         << " has no cooperative matrix of halves with f32 sums that a kernel of ours can use";
        }
    }
    static bool is_coopmat(const MatmulVariant& v) {
        return v.family == KernelFamily::matmul_coopmat ||
               v.family == KernelFamily::matmul_coopmat2;  // not half sums: coopmat_half_sums_test.cpp
    }

    void check_all(const VariantCase& c) {
        const auto variants = candidates(c.shape, is_coopmat);
        ASSERT_FALSE(variants.empty()) << "a hole at " << c.shape.n_tokens << " tokens";
        // Both operands as halves already: nothing is rounded but the sums, and a lost product shows in any row.
        const bool exact = c.exact_halves && c.shape.weight == Format::f16;
        for (const MatmulVariant& v : variants) check(v, c, exact ? 0 : kHalf, exact ? 0 : kHalf);
    }
};

TEST_F(Coopmat, EveryFormat) {
    for (size_t f = 0; f < kFormats.size(); ++f) {
        const Format format = static_cast<Format>(f);
        check_all({{format, 67, whole_blocks(format, 320), 33}});
    }
}

TEST_F(Coopmat, EveryTokenCountFromNine) {
    for (const uint32_t n : {9u, 15u, 16u, 17u, 31u, 32u, 33u, 63u, 64u, 65u, 96u, 97u, 127u, 129u}) {
        check_all({.shape = {Format::f16, 19, 72, n}, .exact_halves = true});
    }
}

TEST_F(Coopmat, OddRowCounts) {
    for (const uint32_t n_out : {1u, 2u, 7u, 15u, 16u, 17u, 63u, 64u, 65u, 127u, 129u}) {
        check_all({.shape = {Format::f16, n_out, 64, 34}, .exact_halves = true});
    }
}

TEST_F(Coopmat, OddRowLengthsOfUnblockedFormats) {
    for (const Format format : {Format::f32, Format::f16, Format::bf16}) {
        for (const uint32_t n_in : {1u, 3u, 31u, 32u, 33u, 63u, 65u, 130u})
            check_all({.shape = {format, 5, n_in, 9}, .exact_halves = true});
    }
}

TEST_F(Coopmat, LongRows) { check_all({.shape = {Format::f16, 9, 4096 + 32, 33}, .exact_halves = true}); }

TEST_F(Coopmat, AddsABiasOrAResidual) {
    for (const AddTo add : {AddTo::bias, AddTo::residual, AddTo::residual_in_place}) {
        for (const uint32_t n : {9u, 33u})
            check_all({.shape = {Format::f16, 37, 1056, n}, .add = add, .exact_halves = true});
    }
}

TEST_F(Coopmat, DenseAtTheStart) { check_all({.shape = {Format::q6_k, 40, 512, 40}, .placing = {0, 0}}); }

TEST_F(Coopmat, ActivationsOfAnySize) {
    // Past what a half holds, far below it, and nothing at all.
    check_all({.shape = {Format::f16, 20, 96, 40}, .exact_halves = true, .scale = [](uint32_t t) {
                   return t % 5 == 0 ? 0.0 : std::ldexp(1.0, int(t) * 6 - 110);
               }});
    check_all({.shape = {Format::q4_0, 20, 96, 12}, .scale = [](uint32_t t) { return t % 2 == 0 ? 1e6 : 1e-6; }});
}

TEST_F(Coopmat, OneHugeActivationAmongSmallOnes) {
    // A million beside values around 1: those keep 11 bits, being more than 2^-29 of the largest.
    check_all({.shape = {Format::f16, 20, 64, 33}, .outlier = 1e6f});
    check_all({.shape = {Format::q8_0, 20, 64, 9}, .outlier = -1e6f});
}

// The choice, for made-up cards.

vk::DeviceCaps card(uint32_t m, uint32_t n, uint32_t k, uint32_t min_subgroup, uint32_t max_subgroup) {
    using vk::ComponentType;
    vk::DeviceCaps caps;
    caps.type = vk::DeviceType::discrete;
    caps.fp16 = caps.coopmat = caps.subgroup_size_control = caps.buffer_device_address = true;
    caps.min_subgroup_size = min_subgroup;
    caps.subgroup_size = caps.max_subgroup_size = max_subgroup;
    caps.max_workgroup_invocations = 1024;
    caps.max_workgroup_size = {1024, 1024, 64};
    caps.max_shared_bytes = 49152;
    caps.coopmat_shapes = {
        {m, n, k, ComponentType::f16, ComponentType::f16, ComponentType::f32, ComponentType::f32, true, false},
        {m, n, k, ComponentType::f16, ComponentType::f16, ComponentType::f16, ComponentType::f16, true, false}};
    return caps;
}

TEST(CoopmatChoice, TilesAreWholeMatricesForEveryShapeOfMatrix) {
    for (const vk::DeviceCaps& caps : {card(16, 16, 16, 32, 64), card(16, 16, 16, 32, 32), card(16, 8, 16, 32, 32),
                                       card(16, 8, 8, 32, 32), card(8, 8, 8, 8, 8), card(8, 16, 16, 8, 32)}) {
        for (const uint32_t n_tokens : {9u, 24u, 25u, 33u, 97u, 512u, 4096u}) {
            std::vector<MatmulVariant> offered;
            offer_matmul_coopmat(caps, {Format::q4_k, 4096, 4096, n_tokens}, offered);
            ASSERT_FALSE(offered.empty()) << n_tokens;
            for (const MatmulVariant& v : offered) {
                const uint32_t local = v.constants[0], sub_out = v.constants[3], sub_tokens = v.constants[4];
                EXPECT_EQ(sub_out % v.constants[5], 0u) << v.name();
                EXPECT_EQ(sub_tokens % v.constants[6], 0u) << v.name();
                EXPECT_EQ(v.constants[8] % v.constants[7], 0u) << v.name();
                EXPECT_EQ(v.tile_out / sub_out * (v.tile_tokens / sub_tokens) * v.subgroup_size, local) << v.name();
                EXPECT_TRUE(v.tile_out % sub_out == 0 && v.tile_tokens % sub_tokens == 0) << v.name();
                EXPECT_LE(sub_out / v.constants[5] * (sub_tokens / v.constants[6]), 32u)
                    << v.name();  // shaders/common/each_matrix.glsl
                EXPECT_LE(v.shared_bytes, caps.max_shared_bytes) << v.name();
                EXPECT_TRUE(v.subgroup_size >= caps.min_subgroup_size && v.subgroup_size <= 32) << v.name();
            }
        }
    }
}

TEST(CoopmatChoice, PromptsTakeTheNewestMatricesAndFewTokensTheExactKernels) {
    vk::DeviceCaps caps = card(16, 16, 16, 32, 32);
    const auto family = [&](uint32_t n_tokens) {
        return choose_matmul(caps, {}, {Format::q4_k, 4096, 4096, n_tokens}).family;
    };
    EXPECT_EQ(family(512), KernelFamily::matmul_coopmat);
    EXPECT_EQ(choose_matmul(caps, {}, {Format::q4_k, 4096, 4096, 24}).x, XKind::f32);
    caps.coopmat2 = {.workgroup_scope = true,
                     .flexible_dimensions = true,
                     .reductions = true,
                     .conversions = true,
                     .per_element_operations = true,
                     .tensor_addressing = true,
                     .block_loads = true};
    EXPECT_EQ(family(512), KernelFamily::matmul_coopmat2);
    caps.coopmat2.block_loads = false;
    EXPECT_EQ(family(512), KernelFamily::matmul_coopmat);
    caps.coopmat_shapes.clear();
    EXPECT_NE(family(512), KernelFamily::matmul_coopmat);
}

}  // namespace
}  // namespace atlas::test
