// rotate_heads: groups of one and of several heads, with and without a shift, heads that no workgroup divides, strided
// views. For caches of rotated heads see rotated_kv_write_test.cpp.
#include "tests/kernels/cache_twin.h"

namespace atlas::test {
namespace {

class TurnHeads : public KernelTest {
  protected:
    // Rows of matrices follow each other.
    static constexpr Placing kDense{.offset_blocks = 3, .pad_blocks = 0};

    void check(uint32_t n_tokens, uint32_t n_head, uint32_t n_group, uint32_t dim, bool shifted) {
        SCOPED_TRACE(fmt::format("{} tokens, {} heads of {} in {} groups{}", n_tokens, n_head, dim, n_group,
                                 shifted ? ", shifted" : ""));
        Twin x(backend(), Format::f32, n_tokens, n_head * dim), shift(backend(), Format::f32, 1, n_group * dim);
        Twin w(backend(), Format::f32, n_group * dim, dim, kDense);
        for (Twin* twin : {&x, &w, &shift}) twin->randomize(random_);
        run_both(backend(), {&x, &w, &shift}, [&](Ops& ops, Side side) {
            ops.rotate_heads(x.on(side), w.on(side), shifted ? shift.on(side) : Tensor{});
        });
        // dim products of values of at most 1 and a sum of dim + 1 terms: each rounding is at most a half place of dim
        // + 1.
        const double tolerance = 2.0 * (dim + 1) * (dim + 1) * kUlp;
        x.expect_near([&](uint32_t, uint32_t, double) { return tolerance; }, "x");
    }
};

TEST_F(TurnHeads, Groups) {
    for (const bool shifted : {false, true}) {
        check(3, 9, 3, 64, shifted);
        check(3, 3, 3, 64, shifted);
        check(2, 4, 1, 128, shifted);
        check(1, 2, 2, 256, shifted);
    }
}

TEST_F(TurnHeads, TokensAndOddHeads) {
    for (const uint32_t n : {1u, 2u, 7u, 8u, 9u, 33u}) check(n, 6, 2, 40, true);
    check(5, 3, 1, 8, false);
}

}  // namespace
}  // namespace atlas::test
