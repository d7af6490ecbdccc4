// What is subtracted from keys with a bias: the mean of the bias as rope rotates it.
#include "runtime/model/key_shift.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/tiny_model.h"

namespace atlas {
namespace {

RopeParams rope_of(uint32_t head_dim, uint32_t n_rot, RopeParams::Pairing pairing, float theta = 1e6f) {
    RopeParams rope;
    rope.pairing = pairing;
    rope.head_dim = head_dim;
    rope.n_rot = n_rot;
    rope.rope_theta = theta;
    return rope;
}

// Position after position, pair after pair; then the Hadamard matrix by its recursion.
std::vector<double> mean_of_turned(std::span<const float> head, const RopeParams& rope, uint32_t n) {
    std::vector<double> mean(head.begin(), head.end());
    for (uint32_t i = 0; i < rope.n_rot / 2; ++i) {
        const bool halves = rope.pairing == RopeParams::Pairing::halves;
        const uint32_t a = halves ? i : 2 * i, b = halves ? i + rope.n_rot / 2 : 2 * i + 1;
        mean[a] = mean[b] = 0;
        for (uint32_t p = 0; p < n; ++p) {
            const double angle = double(p) * rope.freq_scale * std::pow(double(rope.rope_theta), -2.0 * i / rope.n_rot);
            mean[a] += (head[a] * std::cos(angle) - head[b] * std::sin(angle)) / n;
            mean[b] += (head[b] * std::cos(angle) + head[a] * std::sin(angle)) / n;
        }
    }
    return mean;
}

void hadamard(std::span<double> x) {
    if (x.size() == 1) return;
    const size_t half = x.size() / 2;
    for (size_t i = 0; i < half; ++i) {
        const double low = x[i], high = x[i + half];
        x[i] = (low + high) / std::sqrt(2.0);
        x[i + half] = (low - high) / std::sqrt(2.0);
    }
    hadamard(x.first(half));
    hadamard(x.subspan(half));
}

std::vector<float> random_bias(uint32_t n) {
    testing::TinyRandom random(5);
    std::vector<float> bias(n);
    for (float& x : bias) x = static_cast<float>(20 * random.bell());
    return bias;
}

TEST(KeyShift, IsTheMeanOfTheTurnedBiasByTheHadamardMatrix) {
    using Pairing = RopeParams::Pairing;
    for (const RopeParams& rope : {rope_of(64, 64, Pairing::halves), rope_of(64, 64, Pairing::adjacent, 1e4f),
                                   rope_of(96, 48, Pairing::halves)}) {
        constexpr uint32_t kContext = 300;
        const auto bias = random_bias(2 * rope.head_dim);
        const auto shift = key_shift(bias, rope, kContext);
        ASSERT_EQ(shift.size(), bias.size());
        double left = 0;
        for (uint32_t at = 0; at < bias.size(); at += rope.head_dim) {
            const std::span<const float> head = std::span(bias).subspan(at, rope.head_dim);
            auto mean = mean_of_turned(head, rope, kContext);
            double before = 0, taken = 0;
            for (uint32_t i = 0; i < rope.head_dim; ++i) {
                before += double{head[i]} * head[i];
                taken += mean[i] * mean[i];
            }
            left = std::max(left, std::sqrt((before - taken) / rope.head_dim));
            const uint32_t block = hadamard_block(rope.head_dim);
            for (uint32_t b = 0; b < rope.head_dim; b += block) hadamard(std::span(mean).subspan(b, block));
            for (uint32_t i = 0; i < rope.head_dim; ++i) EXPECT_NEAR(shift[at + i], -mean[i], 1e-4) << i;
        }
        EXPECT_NEAR(key_bias_left(bias, rope, kContext), left, 1e-6 * left);
        EXPECT_GT(left, 0);
    }
}

TEST(KeyShift, LeavesLittleOfPairsThatHardlyTurn) {
    const RopeParams rope = rope_of(64, 64, RopeParams::Pairing::halves);
    std::vector<float> bias(64, 0.0f);
    bias[31] = 211;  // Qwen2.5-Coder-0.5B, layer 8: the slowest pair
    EXPECT_LT(key_bias_left(bias, rope, 32768), 0.1);
    bias[31] = 0;
    bias[0] = 211;  // the fastest
    EXPECT_NEAR(key_bias_left(bias, rope, 32768), 211 / 8.0, 0.01);
}

TEST(KeyShift, WhatIsNotFiniteIsLeftAlone) {
    const RopeParams rope = rope_of(32, 32, RopeParams::Pairing::halves);
    std::vector<float> bias(64, 1.0f);
    bias[3] = NAN;
    const auto shift = key_shift(bias, rope, 100);
    for (uint32_t i = 0; i < 32; ++i) EXPECT_EQ(shift[i], 0) << i;
    EXPECT_NE(shift[32], 0);
    EXPECT_TRUE(std::isinf(key_bias_left(bias, rope, 100)));
    EXPECT_EQ(key_bias_left(std::vector<float>(64, 0.0f), rope, 100), 0);
}

}  // namespace
}  // namespace atlas
