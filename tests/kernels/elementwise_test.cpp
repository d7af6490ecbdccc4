// add, gated_mul, rms_norm, rms_norm_heads and add_rms_norm.
#include "tests/kernels/twin.h"

namespace atlas::test {
namespace {

constexpr uint32_t kTokens[] = {1, 2, 7, 8, 9, 33};
constexpr uint32_t kCols[] = {1, 3, 63, 64, 65, 300, 576};

class Elementwise : public KernelTest {};

TEST_F(Elementwise, AddIsExact) {
    for (const uint32_t n : kTokens) {
        for (const uint32_t cols : {1u, 65u, 300u}) {
            Twin a(backend(), Format::f32, n, cols), b(backend(), Format::f32, n, cols),
                bias(backend(), Format::f32, 1, cols);
            Twin y(backend(), Format::f32, n, cols), z(backend(), Format::f32, n, cols);
            for (Twin* twin : {&a, &b, &bias}) twin->randomize(random_);
            run_both(backend(), {&a, &b, &bias, &y, &z}, [&](Ops& ops, Side side) {
                ops.add(a.on(side), b.on(side), y.on(side));
                ops.add(y.on(side), bias.on(side), z.on(side));
                ops.add(a.on(side), z.on(side), a.on(side));  // y is a
                ops.add(a.on(side), b.on(side), b.on(side));  // y is b
            });
            y.expect_equal("a + b");
            z.expect_equal("+ bias");
            a.expect_equal("in place of a");
            b.expect_equal("in place of b");
        }
    }
}

/// GLSL's exp(x) may be off by 3 + 2|x| units in the last place (Vulkan, precision of operations); division by 2.5; 4
/// roundings. Below -88.7 the exponential is infinite in f32 and the result 0 instead of at most 2 * 89 / FLT_MAX (|up|
/// is at most 2 here).
double silu_bound(double gate, double expected) {
    return kUlp * 2 * (3 + 2 * std::abs(gate) + 2.5 + 4) * std::abs(expected) + (gate < -88.7 ? 2 * 89 / 3.4e38 : 0);
}

/// The exponent of gelu comes from five roundings of its own, and exp carries what it is off by: 6 |s| units.
double gelu_bound(double gate, double expected) {
    const double s = 1.5957691216057308 * (gate + 0.044715 * gate * gate * gate);
    return kUlp * 2 * (3 + 8 * std::abs(s) + 2.5 + 4) * std::abs(expected) + (s < -88.7 ? 2 * 20 / 3.4e38 : 0);
}

TEST_F(Elementwise, GeluMul) {
    for (const uint32_t cols : {1u, 65u, 300u}) {
        Twin gate(backend(), Format::f32, 7, cols), up(backend(), Format::f32, 7, cols),
            y(backend(), Format::f32, 7, cols);
        gate.randomize(random_, -12, 12);
        up.randomize(random_);
        const Tensor gates = gate.on(Side::host);
        run_both(backend(), {&gate, &up, &y}, [&](Ops& ops, Side side) {
            ops.gated_mul(Activation::gelu_tanh, gate.on(side), up.on(side), y.on(side));
        });
        y.expect_near(
            [&](uint32_t r, uint32_t c, double expected) { return gelu_bound(read_row(gates, r)[c], expected); }, "y");
    }
}

TEST_F(Elementwise, GeluOfTheLargestNumbersIsNoNan) {
    Twin gate(backend(), Format::f32, 1, 4), up(backend(), Format::f32, 1, 4), y(backend(), Format::f32, 1, 4);
    constexpr float kEnds[] = {-1e30f, -40.0f, 40.0f, 1e30f};
    gate.fill([&](uint32_t, uint32_t c) { return kEnds[c]; });
    up.fill([](uint32_t, uint32_t) { return 2; });
    run_both(backend(), {&gate, &up, &y}, [&](Ops& ops, Side side) {
        ops.gated_mul(Activation::gelu_tanh, gate.on(side), up.on(side), y.on(side));
    });
    y.expect_near([](uint32_t, uint32_t, double expected) { return kUlp * 4 * std::abs(expected); }, "y");
}

TEST_F(Elementwise, SiluMul) {
    for (const uint32_t n : kTokens) {
        for (const uint32_t cols : {1u, 65u, 300u}) {
            Twin gate(backend(), Format::f32, n, cols), up(backend(), Format::f32, n, cols),
                y(backend(), Format::f32, n, cols);
            gate.randomize(random_, -20, 20);
            up.randomize(random_);
            const Tensor gates = gate.on(Side::host);
            run_both(backend(), {&gate, &up, &y}, [&](Ops& ops, Side side) {
                ops.gated_mul(Activation::silu, gate.on(side), up.on(side), y.on(side));
            });
            const auto bound = [&](uint32_t r, uint32_t c, double expected) {
                return silu_bound(read_row(gates, r)[c], expected);
            };
            y.expect_near(bound, "y");
        }
    }
}

TEST_F(Elementwise, SiluMulInPlaceAndAtTheEnds) {
    Twin gate(backend(), Format::f32, 1, 6), up(backend(), Format::f32, 1, 6), y(backend(), Format::f32, 1, 6);
    constexpr float kEnds[] = {-1e30f, -89.0f, -0.0f, 0.0f, 89.0f, 1e30f};
    gate.fill([&](uint32_t, uint32_t c) { return kEnds[c]; });
    up.fill([](uint32_t, uint32_t) { return 2; });
    run_both(backend(), {&gate, &up, &y}, [&](Ops& ops, Side side) {
        ops.gated_mul(Activation::silu, gate.on(side), up.on(side), y.on(side));
        ops.gated_mul(Activation::silu, gate.on(side), up.on(side), up.on(side));  // y is up
    });
    const auto bound = [&](uint32_t, uint32_t c, double expected) {
        return silu_bound(std::clamp(kEnds[c], -90.0f, 90.0f), expected);
    };
    y.expect_near(bound, "y");
    up.expect_near(bound, "up");
}

/// A sum of n squares, a square root, two divisions and two products.
double norm_bound(uint32_t cols, double expected) { return kUlp * (std::sqrt(double(cols)) + 12) * std::abs(expected); }

TEST_F(Elementwise, RmsNormOfHeads) {
    for (const bool gpu : {false, true}) {
        for (const uint32_t n : kTokens) {
            for (const uint32_t dim : {8u, 24u, 64u, 128u, 256u}) {
                for (const uint32_t n_head : {1u, 3u, 16u}) {
                    VkBackend& vk = backend(gpu);
                    // Of a wider row, as the queries of one product of q, k and v.
                    Twin wide(vk, Format::f32, n, n_head * dim + 8), gain(vk, Format::f32, 1, dim);
                    wide.randomize(random_);
                    gain.randomize(random_);
                    run_both(vk, {&wide, &gain}, [&](Ops& ops, Side side) {
                        const Tensor x = wide.on(side).col_range(4, n_head * dim);
                        ops.rms_norm_heads(x, gain.on(side), 1e-5f, dim, x);
                    });
                    wide.expect_near([&](uint32_t, uint32_t, double expected) { return norm_bound(dim, expected); },
                                     "heads");
                }
            }
        }
    }
}

TEST_F(Elementwise, RmsNormOfHeadsWithoutAGainToAnotherPlace) {
    for (const uint32_t n : kTokens) {
        for (const uint32_t dim : {8u, 512u}) {
            Twin x(backend(), Format::f32, n, 3 * dim), y(backend(), Format::f32, n, 3 * dim + 4);
            x.randomize(random_);
            run_both(backend(), {&x, &y}, [&](Ops& ops, Side side) {
                ops.rms_norm_heads(x.on(side), {}, 1e-5f, dim, y.on(side).col_range(4, 3 * dim));
            });
            y.expect_near([&](uint32_t, uint32_t, double expected) { return norm_bound(dim, expected); }, "heads");
        }
    }
}

TEST_F(Elementwise, RmsNorm) {
    for (const bool gpu : {false, true}) {
        for (const uint32_t n : kTokens) {
            for (const uint32_t cols : kCols) {
                VkBackend& vk = backend(gpu);
                Twin x(vk, Format::f32, n, cols), gain(vk, Format::f32, 1, cols), y(vk, Format::f32, n, cols);
                x.randomize(random_);
                gain.randomize(random_);
                run_both(vk, {&x, &gain, &y}, [&](Ops& ops, Side side) {
                    ops.rms_norm(x.on(side), gain.on(side), 1e-5f, y.on(side));
                    ops.rms_norm(x.on(side), gain.on(side), 0.25f, x.on(side));  // in place
                });
                y.expect_near([&](uint32_t, uint32_t, double expected) { return norm_bound(cols, expected); }, "y");
                x.expect_near([&](uint32_t, uint32_t, double expected) { return norm_bound(cols, expected); }, "x");
            }
        }
    }
}

TEST_F(Elementwise, RmsNormOfZerosIsZero) {
    Twin x(backend(), Format::f32, 2, 40), gain(backend(), Format::f32, 1, 40), y(backend(), Format::f32, 2, 40);
    x.fill([](uint32_t, uint32_t) { return 0; });
    gain.randomize(random_);
    run_both(backend(), {&x, &gain, &y},
             [&](Ops& ops, Side side) { ops.rms_norm(x.on(side), gain.on(side), 1e-5f, y.on(side)); });
    y.expect_equal("y");
}

TEST_F(Elementwise, AddRmsNormIsItsDefaultBody) {
    for (const bool gpu : {false, true}) {
        for (const uint32_t n : kTokens) {
            for (const uint32_t cols : {1u, 65u, 576u}) {
                VkBackend& vk = backend(gpu);
                Twin a(vk, Format::f32, n, cols), b(vk, Format::f32, n, cols), bias(vk, Format::f32, 1, cols);
                Twin gain(vk, Format::f32, 1, cols), sum(vk, Format::f32, n, cols), y(vk, Format::f32, n, cols),
                    z(vk, Format::f32, n, cols);
                for (Twin* twin : {&a, &b, &bias, &gain}) twin->randomize(random_);
                run_both(vk, {&a, &b, &bias, &gain, &sum, &y, &z}, [&](Ops& ops, Side side) {
                    ops.add_rms_norm(a.on(side), b.on(side), gain.on(side), 1e-5f, sum.on(side), y.on(side));
                    ops.add_rms_norm(a.on(side), bias.on(side), gain.on(side), 1e-5f, a.on(side),
                                     z.on(side));  // sum is a
                });
                sum.expect_equal("sum");
                a.expect_equal("sum in place");
                y.expect_near([&](uint32_t, uint32_t, double expected) { return norm_bound(cols, expected); }, "y");
                z.expect_near([&](uint32_t, uint32_t, double expected) { return norm_bound(cols, expected); }, "z");
            }
        }
    }
}

}  // namespace
}  // namespace atlas::test
