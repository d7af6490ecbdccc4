// Matrix products whose columns are split over workgroups and added up by a second kernel.
#include "tests/kernels/variants.h"

namespace atlas::test {
namespace {

class SplitK : public VariantTest {
  protected:
    void check_all(const VariantCase& c) {
        const auto variants =
            candidates(c.shape, [](const MatmulVariant& v) { return v.split_k > 1 && v.x != XKind::q8; });
        EXPECT_FALSE(variants.empty()) << c.shape.n_tokens << " tokens, " << c.shape.n_out << " rows";
        const bool halves = c.exact_halves && c.shape.weight == Format::f16;
        for (const MatmulVariant& v : variants) {
            const double rounding = halves || v.x == XKind::f32 ? 0.0 : 1.0 / (1 << 11);
            check(v, c, rounding, rounding);
        }
    }
};

TEST_F(SplitK, SplitsThatDivideTheColumnsAndThatDoNot) {
    for (const uint32_t n_in : {512u, 544u, 768u, 800u, 1056u}) {
        check_all({.shape = {Format::f16, 37, n_in, 33}, .exact_halves = true});
        check_all({.shape = {Format::q4_0, 37, n_in, 33}});
    }
}

TEST_F(SplitK, ManyTokens) { check_all({.shape = {Format::f16, 70, 1024, 129}, .exact_halves = true}); }

TEST_F(SplitK, AddsABiasOrAResidual) {
    for (const AddTo add : {AddTo::bias, AddTo::residual, AddTo::residual_in_place}) {
        check_all({.shape = {Format::f16, 37, 1024, 33}, .add = add, .exact_halves = true});
    }
}

TEST_F(SplitK, ScratchStaysUnderItsBound) {
    const vk::DeviceCaps& caps = vk().kernel_caps();
    for (const uint32_t n_tokens : {9u, 24u, 25u, 64u, 512u, 4096u}) {
        for (const uint32_t n_out : {1u, 64u, 1024u, 32768u, 151936u}) {
            for (const uint32_t n_in : {1u, 255u, 512u, 4096u, 27648u}) {
                const MatmulShape shape{Format::f16, n_out, n_in, n_tokens};
                for (const MatmulVariant& v : matmul_candidates(caps, shape)) {
                    EXPECT_TRUE(v.split_k == 1 || n_tokens > 24) << v.name();
                    ScratchStack stack;
                    if (v.x == XKind::f16) stack.push(half_x_bytes(n_tokens, n_in));
                    if (v.x == XKind::q8) stack.push(q8_bytes(n_tokens, n_in));
                    if (v.split_k > 1) stack.push(uint64_t{v.split_k} * n_tokens * n_out * 4);
                    EXPECT_LE(stack.peak_bytes(), matmul_scratch_bytes(n_tokens, n_in, n_out))
                        << v.name() << " " << tuning_key(shape);
                    EXPECT_LE(uint64_t{split_columns(n_in, v.split_k)} * (v.split_k - 1), n_in + 64u * v.split_k)
                        << v.name();
                    EXPECT_GE(uint64_t{split_columns(n_in, v.split_k)} * v.split_k, n_in) << v.name();
                }
            }
        }
    }
}

}  // namespace
}  // namespace atlas::test
