// Matrix products by cooperative matrices, against RefOps. Devices without them skip, and say so.
#include "tests/kernels/variants.h"

namespace atlas::test {
namespace {

constexpr double kHalf = 1.0 / (1 << 11);  // half of a half's last place, relative

class Coopmat : public VariantTest {
  protected:
    void SetUp() override {
        if (candidates({Format::f16, 64, 64, 64}, is_coopmat).empty()) {
            GTEST_SKIP() << vk().caps().name << " has no cooperative matrix of halves with f32 sums that a kernel of ours can use";
        }
    }
    static bool is_coopmat(const MatmulVariant& v) { return name_of(v.family).find("matmul_coopmat") == 0 && v.x == XKind::f16; }

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
        for (const uint32_t n_in : {1u, 3u, 31u, 32u, 33u, 63u, 65u, 130u}) check_all({.shape = {format, 5, n_in, 9}, .exact_halves = true});
    }
}

TEST_F(Coopmat, LongRows) { check_all({.shape = {Format::f16, 9, 4096 + 32, 33}, .exact_halves = true}); }

TEST_F(Coopmat, AddsABiasOrAResidual) {
    for (const AddTo add : {AddTo::bias, AddTo::residual, AddTo::residual_in_place}) {
        for (const uint32_t n : {9u, 33u}) check_all({.shape = {Format::f16, 37, 1056, n}, .add = add, .exact_halves = true});
    }
}

TEST_F(Coopmat, DenseAtTheStart) { check_all({.shape = {Format::q6_k, 40, 512, 40}, .placing = {0, 0}}); }

TEST_F(Coopmat, ActivationsOfAnySize) {
    // Past what a half holds, far below it, and nothing at all.
    check_all({.shape = {Format::f16, 20, 96, 40},
               .exact_halves = true,
               .scale = [](uint32_t t) { return t % 5 == 0 ? 0.0 : std::ldexp(1.0, int(t) * 6 - 110); }});
    check_all({.shape = {Format::q4_0, 20, 96, 12}, .scale = [](uint32_t t) { return t % 2 == 0 ? 1e6 : 1e-6; }});
}

TEST_F(Coopmat, OneHugeActivationAmongSmallOnes) {
    // A million beside values around 1: those keep 11 bits, being more than 2^-29 of the largest.
    check_all({.shape = {Format::f16, 20, 64, 33}, .outlier = 1e6f});
    check_all({.shape = {Format::q8_0, 20, 64, 9}, .outlier = -1e6f});
}

}  // namespace
}  // namespace atlas::test
