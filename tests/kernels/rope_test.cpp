// rope: both pairings, partial rotation, linear scaling, llama3-style factors, YaRN, positions near and far.
#include "runtime/kernels/ops/rope_table.h"
#include "tests/kernels/twin.h"

namespace atlas::test {
namespace {

class Rope : public KernelTest {
  protected:
    void check(const RopeParams& params, uint32_t n_tokens, uint32_t n_head, const std::vector<uint32_t>& positions,
               bool with_factors) {
        SCOPED_TRACE(fmt::format("head {} rot {} pairing {} tokens {} factors {}", params.head_dim, params.n_rot,
                                 int(params.pairing), n_tokens, with_factors));
        Twin x(backend(), Format::f32, n_tokens, n_head * params.head_dim), at(backend(), Format::f32, 1, n_tokens);
        Twin factors(backend(), Format::f32, 1, params.n_rot / 2);
        x.randomize(random_);
        at.integers(positions);
        factors.randomize(random_, 1, 8);
        std::vector<std::vector<float>> before;
        for (uint32_t t = 0; t < n_tokens; ++t) before.push_back(read_row(x.on(Side::host), t));
        run_both(backend(), {&x, &at, &factors}, [&](Ops& ops, Side side) {
            ops.rope(x.on(side), params, at.ids(side), with_factors ? factors.on(side) : Tensor{});
        });
        // sin and cos to 3e-7, three roundings; a divided frequency is rounded twice in f32, which the position
        // multiplies.
        x.expect_near(
            [&](uint32_t t, uint32_t c, double) {
                const uint32_t head = c / params.head_dim * params.head_dim;
                double largest = 0;
                for (uint32_t i = 0; i < params.head_dim; ++i)
                    largest = std::max(largest, std::abs(double{before[t][head + i]}));
                const double angle_error = with_factors ? 3 * kUlp * positions[t] : 0.0;
                return c - head >= params.n_rot
                           ? 0.0
                           : 2 * largest * std::abs(rope_magnitude(params)) * (3e-7 + 3 * kUlp + angle_error);
            },
            "x");
    }
    static std::vector<uint32_t> counting(uint32_t n, uint32_t first = 0) {
        std::vector<uint32_t> positions(n);
        for (uint32_t i = 0; i < n; ++i) positions[i] = first + i;
        return positions;
    }
};

constexpr RopeParams kPlain{.head_dim = 64, .n_rot = 64};

TEST_F(Rope, BothPairingsAtEveryTokenCount) {
    for (const auto pairing : {RopeParams::Pairing::adjacent, RopeParams::Pairing::halves}) {
        for (const uint32_t n : {1u, 2u, 7u, 8u, 9u, 33u}) {
            RopeParams params = kPlain;
            params.pairing = pairing;
            check(params, n, 3, counting(n, n == 1 ? 17 : 0), false);
        }
    }
}

TEST_F(Rope, PartOfAHeadAndOddHeads) {
    for (const auto pairing : {RopeParams::Pairing::adjacent, RopeParams::Pairing::halves}) {
        for (const auto& [head_dim, n_rot] : {std::pair(80u, 32u), {8u, 8u}, {96u, 24u}, {256u, 256u}, {64u, 2u}}) {
            RopeParams params = kPlain;
            params.pairing = pairing;
            params.head_dim = head_dim;
            params.n_rot = n_rot;
            check(params, 5, 7, {0, 1, 100, 1000, 4095}, false);
        }
    }
}

TEST_F(Rope, FarPositionsAreExact) {
    RopeParams params = kPlain;
    params.rope_theta = 500000;
    check(params, 4, 2, {131071, 1048575, 16777217, 4000000000u}, false);
}

TEST_F(Rope, LinearScaling) {
    RopeParams params = kPlain;
    params.freq_scale = 0.25f;
    check(params, 3, 2, {1, 77, 8191}, false);
}

TEST_F(Rope, FactorsPerPair) {
    RopeParams params = kPlain;
    params.rope_theta = 500000;
    check(params, 9, 4, counting(9), true);
    check(params, 2, 4, {4096, 131071}, true);
}

TEST_F(Rope, Yarn) {
    for (const float scale : {0.25f, 0.1f}) {
        RopeParams params{.pairing = RopeParams::Pairing::halves,
                          .head_dim = 128,
                          .n_rot = 128,
                          .rope_theta = 1000000,
                          .freq_scale = scale};
        params.ext_factor = 1;
        params.n_ctx_orig = 32768;
        params.attn_factor = 0.9f;
        check(params, 4, 2, {0, 5, 3000, 120000}, false);
    }
}

TEST_F(Rope, OnlyItsColumnsOfAWiderMatrixTurn) {
    Twin qkv(backend(), Format::f32, 3, 4 * 64), at(backend(), Format::f32, 1, 3);
    qkv.randomize(random_);
    at.integers({3, 4, 5});
    run_both(backend(), {&qkv, &at},
             [&](Ops& ops, Side side) { ops.rope(qkv.on(side).col_range(64, 128), kPlain, at.ids(side), Tensor{}); });
    qkv.expect_near([](uint32_t, uint32_t c, double) { return c < 64 || c >= 192 ? 0.0 : 1e-6; }, "qkv");
}

TEST(RopeTable, TurnsAreFractionsOfACircle) {
    const auto turns = rope_turns(kPlain);
    ASSERT_EQ(turns.size(), 32u);
    EXPECT_NEAR(std::ldexp(double(turns[0]), -64), 1 / (2 * M_PI), 1e-15);
    EXPECT_NEAR(std::ldexp(double(turns[31]), -64), std::pow(10000.0, -62.0 / 64) / (2 * M_PI), 1e-15);
    EXPECT_EQ(rope_magnitude(kPlain), 1.0f);
}

}  // namespace
}  // namespace atlas::test
