// activate, gated_mul of every activation, scale, scale_by_position, layer_norm, and rms_norm without a gain.
#include "tests/kernels/twin.h"

namespace atlas::test {
namespace {

constexpr Activation kActivations[] = {Activation::silu,    Activation::gelu_tanh, Activation::relu_squared,
                                       Activation::sigmoid, Activation::softplus,  Activation::silu_clamped,
                                       Activation::none};
/// GLSL's log may be off by this much for arguments in 0.5 .. 2, and by 3 units in the last place for others (Vulkan,
/// precision of operations).
constexpr double kLogError = 1.0 / (1 << 21);

class Activations : public KernelTest {};

/// exp(s) may be off by 3 + 2 |s| units in the last place, and carries what its argument is off by; a division by 2.5.
/// Below -88.7 the exponential is infinite in f32, and the result 0 instead of less than 1e-36.
double bound_of(Activation activation, double gate, double expected) {
    double s = 0;
    switch (activation) {
        case Activation::none:
        case Activation::relu_squared:
            return 4 * kUlp * std::abs(expected);
        case Activation::softplus:
            s = std::min(gate, 0.0);
            // where 1 + exp(s) is 1, its logarithm is 0; the smallest numbers may become 0
            return kUlp * 2 * (9 + 2 * std::abs(s)) * std::abs(expected) + (gate > -17 ? 3 * kLogError : 1e-36);
        case Activation::silu:
        case Activation::sigmoid:
            s = gate;
            break;
        case Activation::gelu_tanh:
            s = 4 * 1.5957691216057308 * (gate + 0.044715 * gate * gate * gate);  // of five roundings of its own
            break;
        case Activation::silu_clamped:
            s = 2 * 1.702 * std::min(gate, 7.0);
            break;
    }
    return kUlp * 2 * (3 + 2 * std::abs(s) + 8) * std::abs(expected) + 1e-36;
}

TEST_F(Activations, OfEveryKindTimesAFactor) {
    for (const Activation activation : kActivations) {
        for (const uint32_t cols : {1u, 65u, 300u}) {
            Twin gate(backend(), Format::f32, 7, cols), up(backend(), Format::f32, 7, cols);
            Twin y(backend(), Format::f32, 7, cols), own(backend(), Format::f32, 7, cols);
            gate.randomize(random_, -12, 12);
            up.randomize(random_, -9, 9);
            own.fill([&](uint32_t r, uint32_t c) { return read_row(gate.on(Side::host), r)[c]; });
            const Tensor kept = gate.on(Side::host);
            run_both(backend(), {&gate, &up, &y, &own}, [&](Ops& ops, Side side) {
                ops.gated_mul(activation, gate.on(side), up.on(side), y.on(side));
                ops.gated_mul(activation, own.on(side), up.on(side), own.on(side));  // y is the gate
                ops.gated_mul(activation, gate.on(side), up.on(side), up.on(side));  // y is up
            });
            for (Twin* twin : {&y, &own, &up}) {
                twin->expect_near([&](uint32_t r, uint32_t c,
                                      double expected) { return bound_of(activation, read_row(kept, r)[c], expected); },
                                  "y");
            }
        }
    }
}

TEST_F(Activations, OfNarrowerGates) {
    for (const uint32_t repeat : {1u, 3u, 64u}) {
        Twin gate(backend(), Format::f32, 5, 6), up(backend(), Format::f32, 5, 6 * repeat),
            y(backend(), Format::f32, 5, 6 * repeat);
        gate.randomize(random_, -6, 6);
        up.randomize(random_);
        const Tensor kept = gate.on(Side::host);
        run_both(backend(), {&gate, &up, &y}, [&](Ops& ops, Side side) {
            ops.gated_mul(Activation::sigmoid, gate.on(side), up.on(side), y.on(side));
        });
        y.expect_near(
            [&](uint32_t r, uint32_t c, double expected) {
                return bound_of(Activation::sigmoid, read_row(kept, r)[c / repeat], expected);
            },
            "y");
    }
}

TEST_F(Activations, WithoutAFactorAndAtTheEnds) {
    constexpr float kEnds[] = {-1e30f, -89.0f, -40.0f, -20.0f, -1e-4f, -0.0f, 0.0f, 1e-4f, 20.0f, 89.0f, 1e18f};
    constexpr uint32_t kN = std::size(kEnds);
    for (const Activation activation : kActivations) {
        if (activation == Activation::silu_clamped) continue;
        Twin x(backend(), Format::f32, 3, kN), y(backend(), Format::f32, 3, kN);
        x.fill([&](uint32_t, uint32_t c) { return kEnds[c]; });
        run_both(backend(), {&x, &y}, [&](Ops& ops, Side side) {
            ops.activate(activation, x.on(side), y.on(side));
            ops.activate(activation, x.on(side), x.on(side));  // in place
        });
        for (Twin* twin : {&x, &y}) {
            twin->expect_near(
                [&](uint32_t, uint32_t c, double expected) {
                    return bound_of(activation, std::clamp(kEnds[c], -90.0f, 90.0f), expected);
                },
                "y");
        }
    }
}

TEST_F(Activations, OneRowOfGatesServesAllTokens) {
    for (const uint32_t gate_cols : {1u, 5u, 65u}) {
        for (const uint32_t n : {1u, 2u, 9u}) {
            Twin gate(backend(), Format::f32, 1, gate_cols), up(backend(), Format::f32, n, 65);
            gate.randomize(random_, -3, 3);
            up.randomize(random_, -9, 9);
            run_both(backend(), {&gate, &up}, [&](Ops& ops, Side side) {
                ops.gated_mul(Activation::none, gate.on(side), up.on(side), up.on(side));
            });
            up.expect_near([&](uint32_t, uint32_t, double expected) { return kUlp * std::abs(expected); }, "y");
        }
    }
}

TEST_F(Activations, ClampedFactorsAtTheEnds) {
    constexpr float kEnds[] = {-1e30f, -7.5f, -7.0f, 0.0f, 6.5f, 7.0f, 7.5f, 1e30f};
    Twin gate(backend(), Format::f32, 8, 8), up(backend(), Format::f32, 8, 8), y(backend(), Format::f32, 8, 8);
    gate.fill([&](uint32_t r, uint32_t) { return kEnds[r]; });
    up.fill([&](uint32_t, uint32_t c) { return kEnds[c]; });
    run_both(backend(), {&gate, &up, &y}, [&](Ops& ops, Side side) {
        ops.gated_mul(Activation::silu_clamped, gate.on(side), up.on(side), y.on(side));
    });
    y.expect_near(
        [&](uint32_t r, uint32_t, double expected) {
            return bound_of(Activation::silu_clamped, std::max(kEnds[r], -60.0f), expected);
        },
        "y");
}

TEST_F(Activations, ScaleWithAndWithoutACap) {
    for (const float cap : {0.0f, 2.5f, 30.0f}) {
        for (const uint32_t n : {1u, 7u}) {
            Twin x(backend(), Format::f32, n, 65), y(backend(), Format::f32, n, 65);
            x.randomize(random_, -100, 100);
            x.fill([&](uint32_t r, uint32_t c) {
                const float value = read_row(x.on(Side::host), r)[c];
                return c % 3 == 0 ? value * 1e-3f : c % 7 == 0 ? value * 1e20f : value;
            });
            run_both(backend(), {&x, &y}, [&](Ops& ops, Side side) {
                ops.scale(x.on(side), 0.7f, cap, y.on(side));
                ops.scale(x.on(side), 0.7f, cap, x.on(side));  // in place
            });
            // exp is off by at most 3 + 2 * 17 units where it matters beside 1
            const double error = cap > 0 ? 24 : 1;
            for (Twin* twin : {&x, &y}) {
                twin->expect_near(
                    [&](uint32_t, uint32_t, double expected) { return error * kUlp * std::abs(expected); }, "y");
            }
        }
    }
}

TEST_F(Activations, ScaleByPosition) {
    Twin x(backend(), Format::f32, 6, 65), positions(backend(), Format::f32, 1, 6, {.offset_blocks = 2});
    x.randomize(random_);
    positions.integers({0, 15, 16, 47, 48, 131071});
    const std::vector<float> before = read_row(x.on(Side::host), 1);
    run_both(backend(), {&x, &positions},
             [&](Ops& ops, Side side) { ops.scale_by_position(x.on(side), positions.ids(side), 0.4f, 16); });
    x.expect_near([](uint32_t, uint32_t, double expected) { return 12 * kUlp * std::abs(expected) + kLogError * 0.4; },
                  "x");
    EXPECT_EQ(x.device_row(1), before) << "the first context is not scaled";
}

/// Two sums of n numbers, a square root, two divisions, three products; the mean is off by its share of the row's
/// magnitude.
double norm_bound(uint32_t cols, double expected, double magnitude) {
    return kUlp * (std::sqrt(double(cols)) + 14) * (std::abs(expected) + magnitude);
}

TEST_F(Activations, LayerNorm) {
    for (const bool gpu : {false, true}) {
        for (const uint32_t n : {1u, 2u, 9u}) {
            for (const uint32_t cols : {1u, 3u, 63u, 64u, 300u, 576u}) {
                VkBackend& vk = backend(gpu);
                Twin x(vk, Format::f32, n, cols), gain(vk, Format::f32, 1, cols), bias(vk, Format::f32, 1, cols),
                    y(vk, Format::f32, n, cols);
                x.randomize(random_, 1, 3);  // a mean that counts
                gain.randomize(random_);
                bias.randomize(random_);
                run_both(vk, {&x, &gain, &bias, &y}, [&](Ops& ops, Side side) {
                    ops.layer_norm(x.on(side), gain.on(side), bias.on(side), 1e-5f, y.on(side));
                    ops.layer_norm(x.on(side), gain.on(side), {}, 0.25f, x.on(side));  // in place, no bias
                });
                // magnitudes over the deviation of about 0.58; a single column is 0 over sqrt(eps)
                const double magnitude = cols == 1 ? 0 : 8;
                for (Twin* twin : {&y, &x}) {
                    twin->expect_near(
                        [&](uint32_t, uint32_t, double expected) { return norm_bound(cols, expected, magnitude); },
                        "y");
                }
            }
        }
    }
}

TEST_F(Activations, LayerNormOfRunsWithGainsOfTheirOwn) {
    for (const uint32_t dim : {8u, 24u, 128u}) {
        // Of a wider row, as the queries of one product of q, k and v.
        Twin wide(backend(), Format::f32, 5, 3 * dim + 8), gain(backend(), Format::f32, 3, dim);
        wide.randomize(random_, 1, 3);
        gain.randomize(random_);
        run_both(backend(), {&wide, &gain}, [&](Ops& ops, Side side) {
            const Tensor x = wide.on(side).col_range(4, 3 * dim);
            ops.layer_norm(x, gain.on(side), {}, 1e-5f, x);
        });
        wide.expect_near([&](uint32_t, uint32_t, double expected) { return norm_bound(dim, expected, 8); }, "runs");
    }
}

TEST_F(Activations, RmsNormWithoutAGain) {
    for (const uint32_t cols : {1u, 65u, 300u}) {
        Twin x(backend(), Format::f32, 7, cols), y(backend(), Format::f32, 7, cols);
        x.randomize(random_);
        run_both(backend(), {&x, &y}, [&](Ops& ops, Side side) { ops.rms_norm(x.on(side), {}, 1e-5f, y.on(side)); });
        y.expect_near([&](uint32_t, uint32_t, double expected) { return norm_bound(cols, expected, 0); }, "y");
    }
}

}  // namespace
}  // namespace atlas::test
