// Several matrices in one dispatch, gate and up with their activation, and rope with the writing of the cache: against
// their definitions on RefOps.
#include <numeric>

#include "runtime/kernels/ops/rope_table.h"
#include "tests/kernels/cache_twin.h"

namespace atlas::test {
namespace {

class Fused : public KernelTest {
  protected:
    static size_t n_dispatches(VkBackend& vk, const std::function<void(Ops&, Side)>& pass) {
        const auto program = vk.record("count", [&](Ops& ops) { pass(ops, Side::device); });
        EXPECT_TRUE(program) << (program ? "" : program.error().message);
        return program ? vk.size_of(**program).dispatches : 0;
    }

    void check_gated(Format format, uint32_t n, uint32_t n_ff, uint32_t n_in, Layout layout = Layout::blocks) {
        SCOPED_TRACE(fmt::format("{} {} x {} -> {} layout {}", info(format).name, n, n_in, n_ff, int(layout)));
        VkBackend& vk = backend(true);
        const Placing dense_rows{uint32_t(layout == Layout::planar ? 16 : 3), 0};
        Twin w(vk, format, 2 * n_ff, n_in, dense_rows, layout), x(vk, Format::f32, n, n_in, {4, 4}),
            y(vk, Format::f32, n, n_ff);
        w.randomize(random_);
        x.randomize(random_);
        const auto pass = [&](Ops& ops, Side side) {
            const Tensor both = w.on(side);
            ops.matmul_gated(Activation::silu, {both.row_range(0, n_ff), {}, {}}, {both.row_range(n_ff, n_ff), {}, {}},
                             x.on(side), y.on(side));
        };
        run_both(vk, {&w, &x, &y}, pass);
        // Both sums in f32, silu climbs by at most 1.1, exp and a division.
        y.expect_near(
            [&](uint32_t t, uint32_t o, double expected) {
                const Tensor all = w.on(Side::host), at = x.on(Side::host);
                const double rounding = n_in * kUlp, g = dot_magnitude(all, o, at, t),
                             u = dot_magnitude(all, n_ff + o, at, t);
                return rounding * 2.2 * g * u + 32 * kUlp * std::abs(expected) * (1 + g) + 1e-30;
            },
            "y");
        EXPECT_EQ(n_dispatches(vk, pass), vk.kernel_caps().subgroup_size_control ? 1u : 3u);
    }
};

// How a format is read is tested with matvec_subgroup, whose code this is; a software device compiles each for seconds.
TEST_F(Fused, GateAndUp) {
    for (const Format format : {Format::f32, Format::f16, Format::q8_0, Format::q4_k, Format::q6_k}) {
        check_gated(format, 1, 37, whole_blocks(format, 300));
    }
}

TEST_F(Fused, GateAndUpOfPlanarWeights) {
    check_gated(Format::q6_k, 1, 32, 512, Layout::planar);
    check_gated(Format::q8_0, 3, 32, 512, Layout::planar);
}

TEST_F(Fused, GateAndUpOfSeveralTokens) {
    for (const uint32_t n : {2u, 9u, 24u}) check_gated(Format::q8_0, n, 21, 768);
    check_gated(Format::f16, 1, 8, 100);
}

TEST_F(Fused, GateAndUpThatLieApartRunOneAfterTheOther) {
    VkBackend& vk = backend(true);
    Twin gate(vk, Format::q8_0, 9, 64), up(vk, Format::q8_0, 9, 64), x(vk, Format::f32, 2, 64),
        y(vk, Format::f32, 2, 9);
    for (Twin* twin : {&gate, &up, &x}) twin->randomize(random_);
    const auto pass = [&](Ops& ops, Side side) {
        ops.matmul_gated(Activation::silu, {gate.on(side), {}, {}}, {up.on(side), {}, {}}, x.on(side), y.on(side));
    };
    run_both(vk, {&gate, &up, &x, &y}, pass);
    y.expect_near([](uint32_t, uint32_t, double expected) { return 1e-4 * (1 + std::abs(expected)); }, "y");
    EXPECT_EQ(n_dispatches(vk, pass), 3u);
}

TEST_F(Fused, MatricesSideBySideAreOneProduct) {
    VkBackend& vk = backend(true);
    for (const bool biases : {false, true}) {
        for (const uint32_t n : {1u, 4u, 33u}) {
            Twin w(vk, Format::q4_k, 40, 256, {3, 0}), b(vk, Format::f32, 1, 40), x(vk, Format::f32, n, 256),
                y(vk, Format::f32, n, 40);
            w.randomize(random_);
            b.randomize(random_);
            x.randomize(random_);
            const auto pass = [&](Ops& ops, Side side) {
                const auto term = [&](uint32_t first, uint32_t rows) {
                    return MatmulTerm{w.on(side).row_range(first, rows),
                                      biases ? b.on(side).col_range(first, rows) : Tensor{},
                                      y.on(side).col_range(first, rows)};
                };
                const auto terms = std::to_array({term(0, 24), term(24, 8), term(32, 8)});
                ops.matmul_group(terms, x.on(side));
            };
            run_both(vk, {&w, &b, &x, &y}, pass);
            y.expect_near(
                [&](uint32_t t, uint32_t o, double) {
                    return (n > 24 ? 2 * 0x1p-11 + 256 * kUlp : 256 * kUlp) *
                           (1 + dot_magnitude(w.on(Side::host), o, x.on(Side::host), t));
                },
                "y");
            const auto whole = [&](Ops& ops, Side side) {
                ops.matmul_add(w.on(side), x.on(side), biases ? b.on(side) : Tensor{}, y.on(side));
            };
            EXPECT_EQ(n_dispatches(vk, pass), n_dispatches(vk, whole));
        }
    }
}

TEST_F(Fused, WhatLiesApartStaysApart) {
    VkBackend& vk = backend(true);
    Twin w(vk, Format::q8_0, 16, 64, {3, 0}), odd(vk, Format::q4_0, 8, 64), x(vk, Format::f32, 1, 64),
        y(vk, Format::f32, 1, 24);
    for (Twin* twin : {&w, &odd, &x}) twin->randomize(random_);
    const auto pass = [&](Ops& ops, Side side) {
        const auto terms = std::to_array<MatmulTerm>({{w.on(side).row_range(0, 8), {}, y.on(side).col_range(0, 8)},
                                                      {w.on(side).row_range(8, 8), {}, y.on(side).col_range(8, 8)},
                                                      {odd.on(side), {}, y.on(side).col_range(16, 8)}});
        ops.matmul_group(terms, x.on(side));
    };
    run_both(vk, {&w, &odd, &x, &y}, pass);
    y.expect_near([](uint32_t, uint32_t, double) { return 1e-4; }, "y");
    EXPECT_EQ(n_dispatches(vk, pass), 2u);
}

class RopeKvWrite : public Fused {
  protected:
    void check(const RopeParams& params, KvFormats formats, uint32_t n, uint32_t n_head, uint32_t n_head_kv,
               uint32_t v_width, bool with_factors) {
        SCOPED_TRACE(fmt::format("head {} rot {} pairing {} {}:{} tokens {} heads {}/{} factors {}", params.head_dim,
                                 params.n_rot, int(params.pairing), info(formats.k).name, info(formats.v).name, n,
                                 n_head, n_head_kv, with_factors));
        VkBackend& vk = backend();
        const uint32_t k_width = n_head_kv * params.head_dim;
        Twin q(vk, Format::f32, n, n_head * params.head_dim), k(vk, Format::f32, n, k_width),
            v(vk, Format::f32, n, v_width);
        Twin positions(vk, Format::f32, 1, n), slots(vk, Format::f32, 1, n),
            factors(vk, Format::f32, 1, params.n_rot / 2);
        CacheTwin k_cache(vk, formats.k, 50, k_width), v_cache(vk, formats.v, 50, v_width);
        for (Twin* twin : {&q, &k, &v}) twin->randomize(random_);
        factors.randomize(random_, 1, 8);
        for (CacheTwin* cache : {&k_cache, &v_cache}) cache->fill([](uint32_t r, uint32_t) { return r + 1.0; });
        std::vector<uint32_t> at(50), where(n);
        std::iota(at.begin(), at.end(), 0u);
        std::shuffle(at.begin(), at.end(), random_);
        at.resize(n);
        for (uint32_t t = 0; t < n; ++t) where[t] = 100 + 3 * t;
        slots.integers(at);
        positions.integers(where);
        std::vector<std::vector<float>> k_before;
        for (uint32_t t = 0; t < n; ++t) k_before.push_back(read_row(k.on(Side::host), t));
        const auto pass = [&](Ops& ops, Side side) {
            ops.rope_kv_write(q.on(side), k.on(side), v.on(side), params, positions.ids(side),
                              with_factors ? factors.on(side) : Tensor{}, {k_cache.on(side), v_cache.on(side), 10},
                              slots.ids(side));
        };
        run_both(vk, {&q, &k, &v, &positions, &slots, &factors, &k_cache, &v_cache}, pass);
        const double rotation =
            4 * std::abs(rope_magnitude(params)) * (3e-7 + 3 * kUlp + (with_factors ? 3 * kUlp * where.back() : 0.0));
        q.expect_near(
            [&](uint32_t, uint32_t c, double) { return c % params.head_dim >= params.n_rot ? 0.0 : rotation; }, "q");
        const auto written = [&](uint32_t r) { return std::find(at.begin(), at.end(), r) != at.end(); };
        k_cache.expect_near(
            [&](uint32_t r, uint32_t, double e) { return written(r) ? rotation + step_of(formats.k, e) : 0.0; }, "K");
        v_cache.expect_near(
            [&](uint32_t r, uint32_t, double e) { return written(r) ? step_of(formats.v, e, true) : 0.0; }, "V");
        EXPECT_EQ(n_dispatches(vk, pass), 1u);
    }
    /// How far apart two roundings of nearly the same number may end; `same`: of the same number.
    static double step_of(Format format, double value, bool same = false) {
        switch (format) {
            case Format::f32:
                return 0;
            case Format::f16:
                return same ? 0 : std::abs(value) * 0x1p-10 + 0x1p-24;
            case Format::bf16:
                return same ? 0 : std::abs(value) * 0x1p-7;
            case Format::q8_0:
                return 2.9 / 127;  // values of at most 1.42 after rotation: a step of the scale
            default:
                return 2.9 / 7;
        }
    }
};

TEST_F(RopeKvWrite, EveryFormatOfTheCache) {
    for (const Format format : kKvFormats)
        check({.head_dim = 64, .n_rot = 64}, {format, Format::f16}, 3, 4, 2, 128, false);
    check({.head_dim = 64, .n_rot = 64}, {Format::q8_0, Format::q4_0}, 9, 4, 2, 64, false);
    check({.head_dim = 64, .n_rot = 64}, {Format::f16, Format::f32}, 1, 7, 1, 40, false);
}

TEST_F(RopeKvWrite, PairingsHeadsAndTokens) {
    for (const auto pairing : {RopeParams::Pairing::adjacent, RopeParams::Pairing::halves}) {
        for (const auto& [head_dim, n_rot] : {std::pair(80u, 32u), {8u, 8u}, {96u, 24u}, {256u, 256u}, {128u, 2u}}) {
            for (const uint32_t n : {1u, 2u, 33u})
                check({pairing, head_dim, n_rot}, Format::f32, n, 5, 1, head_dim, n == 2);
        }
    }
}

TEST_F(RopeKvWrite, WideRowsTakeSeveralWorkgroups) {
    check({RopeParams::Pairing::halves, 128, 128}, Format::f16, 2, 40, 8, 8 * 128, false);
    check({RopeParams::Pairing::halves, 128, 128}, Format::q8_0, 1, 3, 11, 11 * 128, false);
}

}  // namespace
}  // namespace atlas::test
