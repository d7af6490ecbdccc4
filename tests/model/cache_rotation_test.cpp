// The fit of the rotations of keys: scores stay what they were, energy is balanced, and the first token's key is easy
// to hold.
#include "runtime/model/cache_rotation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/tiny_model.h"

namespace atlas {
namespace {

using testing::TinyRandom;

struct Rows {
    uint32_t dim;
    std::vector<float> keys, queries;
    std::span<const float> key(uint32_t i) const { return std::span(keys).subspan(uint64_t{i} * dim, dim); }
    std::span<const float> query(uint32_t i) const { return std::span(queries).subspan(uint64_t{i} * dim, dim); }
};

// Keys with a large constant part and directions of very different size; queries large where keys are small, and the
// other way round.
Rows rows_of(uint32_t dim, uint32_t n) {
    TinyRandom random(3);
    Rows rows{dim, {}, {}};
    for (uint32_t i = 0; i < n; ++i) {
        for (uint32_t c = 0; c < dim; ++c) {
            const double size = std::exp(3.0 * c / dim);
            rows.keys.push_back(static_cast<float>((i == 0 ? -4.0 : 3.0) * (c % 3) + size * random.bell()));
            rows.queries.push_back(static_cast<float>(random.bell() / size + 0.05 * random.bell()));
        }
    }
    return rows;
}

std::vector<double> turned(std::span<const float> row, const std::vector<float>& w, const std::vector<float>& shift) {
    std::vector<double> out(row.size(), 0);
    for (size_t c = 0; c < row.size(); ++c) {
        if (!shift.empty()) out[c] = shift[c];
        for (size_t i = 0; i < row.size(); ++i) out[c] += double{row[i]} * w[i * row.size() + c];
    }
    return out;
}

TEST(CacheRotation, ScoresDifferByOneNumberPerQuery) {
    for (const uint32_t dim : {8u, 24u, 64u}) {
        const Rows rows = rows_of(dim, 200);
        const HeadRotation turn = fit_head_rotation(head_statistics(dim, rows.keys, rows.queries));
        for (const uint32_t j : {0u, 7u, 150u}) {
            const auto q = turned(rows.query(j), turn.out, {});
            double lowest = 1e9, highest = -1e9, largest = 0;
            for (uint32_t i = 0; i < 200; ++i) {
                const auto k = turned(rows.key(i), turn.in, turn.shift);
                double plain = 0, other = 0;
                for (uint32_t c = 0; c < dim; ++c) {
                    plain += double{rows.query(j)[c]} * rows.key(i)[c];
                    other += q[c] * k[c];
                }
                lowest = std::min(lowest, plain - other);
                highest = std::max(highest, plain - other);
                largest = std::max(largest, std::abs(plain));
            }
            EXPECT_LT(highest - lowest, 1e-4 * (1 + largest)) << dim << " " << j;
        }
    }
}

TEST(CacheRotation, TheFirstKeyBecomesEqualNumbersInItsBlock) {
    const Rows rows = rows_of(64, 100);
    const HeadRotation turn = fit_head_rotation(head_statistics(64, rows.keys, rows.queries));
    const auto k = turned(rows.key(0), turn.in, turn.shift);
    EXPECT_GT(std::abs(k[0]), 0.1);
    for (const double x : k) EXPECT_NEAR(x, k[0], 1e-4 * std::abs(k[0]));
}

TEST(CacheRotation, AllElementsOfKeysAreEquallyLarge) {
    const Rows rows = rows_of(64, 3000);
    const HeadRotation turn = fit_head_rotation(head_statistics(64, rows.keys, rows.queries));
    std::vector<double> squares(64, 0);
    for (uint32_t i = 1; i < 3000; ++i) {
        const auto k = turned(rows.key(i), turn.in, turn.shift);
        for (uint32_t c = 0; c < 64; ++c) squares[c] += k[c] * k[c];
    }
    const auto [least, most] = std::minmax_element(squares.begin(), squares.end());
    EXPECT_LT(*most / *least, 1.5);
    double plain_least = 1e30, plain_most = 0;  // what it was
    for (uint32_t c = 0; c < 64; ++c) {
        double sum = 0;
        for (uint32_t i = 1; i < 3000; ++i) sum += double{rows.key(i)[c]} * rows.key(i)[c];
        plain_least = std::min(plain_least, sum);
        plain_most = std::max(plain_most, sum);
    }
    EXPECT_GT(plain_most / plain_least, 20);
}

// If all other elements compensate for an error of the first as the feedback says, the result is optimal: no change of
// one of them makes the squared error of the scores smaller.
TEST(CacheRotation, FeedbackMakesUpForAnErrorAsWellAsCanBe) {
    constexpr uint32_t kDim = 24;
    const Rows rows = rows_of(kDim, 300);
    const HeadStatistics statistics = head_statistics(kDim, rows.keys, rows.queries);
    const HeadRotation turn = fit_head_rotation(statistics);
    double trace = 0;
    for (uint32_t i = 0; i < kDim; ++i) trace += statistics.query_moments[i * kDim + i];
    std::vector<double> error = {1};
    for (uint32_t i = 1; i < kDim; ++i) {
        double wanted = 0;
        for (uint32_t j = 0; j < i; ++j) wanted -= double{turn.feedback[i * kDim + j]} * error[j];
        error.push_back(wanted);
        for (uint32_t j = i; j < kDim; ++j) EXPECT_EQ(turn.feedback[i * kDim + j], 0) << i << " " << j;
    }
    // Half of the gradient of e^T M e, M = q^T (moments + a hundredth of their mean variance) q.
    std::vector<double> through_q(kDim, 0), through_moments(kDim, 0), gradient(kDim, 0);
    for (uint32_t r = 0; r < kDim; ++r) {
        for (uint32_t c = 0; c < kDim; ++c) through_q[r] += turn.out[r * kDim + c] * error[c];
    }
    for (uint32_t r = 0; r < kDim; ++r) {
        through_moments[r] = 0.01 * trace / kDim * through_q[r];
        for (uint32_t c = 0; c < kDim; ++c) through_moments[r] += statistics.query_moments[r * kDim + c] * through_q[c];
    }
    for (uint32_t r = 0; r < kDim; ++r) {
        for (uint32_t c = 0; c < kDim; ++c) gradient[c] += turn.out[r * kDim + c] * through_moments[r];
    }
    EXPECT_GT(gradient[0], 0);
    for (uint32_t c = 1; c < kDim; ++c) EXPECT_NEAR(gradient[c], 0, 1e-4 * gradient[0]) << c;
}

// Values are recovered from attention's result over rotated ones: sum_i a_i v_i in out = sum_i a_i v_i.
TEST(CacheRotation, ValuesAreTurnedBack) {
    constexpr uint32_t kDim = 24;
    const Rows rows = rows_of(kDim, 200);
    HeadStatistics statistics = head_statistics(kDim, rows.keys, rows.queries);
    statistics.key_mean.assign(kDim, 0);
    const HeadRotation turn = fit_value_rotation(statistics);
    for (const float x : turn.shift) EXPECT_EQ(x, 0);
    std::vector<float> mixed(kDim, 0), through(kDim, 0);
    for (const uint32_t i : {0u, 5u, 77u}) {
        const auto v = turned(rows.key(i), turn.in, {});
        for (uint32_t c = 0; c < kDim; ++c) {
            mixed[c] += static_cast<float>(0.3 * rows.key(i)[c]);
            through[c] += static_cast<float>(0.3 * v[c]);
        }
    }
    const auto back = turned(through, turn.out, {});
    for (uint32_t c = 0; c < kDim; ++c) EXPECT_NEAR(back[c], mixed[c], 1e-3 * (1 + std::abs(mixed[c])));
}

TEST(CacheRotation, LooksAreAveraged) {
    const Rows rows = rows_of(8, 41), others = rows_of(8, 61);
    HeadStatistics sum = head_statistics(8, rows.keys, rows.queries);
    const HeadStatistics first = sum, next = head_statistics(8, others.keys, others.queries);
    add_to_mean(sum, 1, next);
    for (size_t i = 0; i < 64; ++i) {
        EXPECT_NEAR(sum.key_moments[i], (first.key_moments[i] + next.key_moments[i]) / 2, 1e-9);
        EXPECT_NEAR(sum.query_moments[i], (first.query_moments[i] + next.query_moments[i]) / 2, 1e-9);
    }
    for (size_t i = 0; i < 8; ++i) EXPECT_NEAR(sum.key_mean[i], (first.key_mean[i] + next.key_mean[i]) / 2, 1e-9);
    EXPECT_EQ(sum.first_key, first.first_key);
}

TEST(CacheRotation, DirectionsThatWereNeverSeenAreNoTrouble) {
    std::vector<float> keys(20 * 8, 1.0f), queries(20 * 8, 0.0f);
    const HeadRotation turn = fit_head_rotation(head_statistics(8, keys, queries));
    for (const auto& part : {turn.in, turn.out, turn.shift, turn.feedback}) {
        for (const float x : part) EXPECT_TRUE(std::isfinite(x));
    }
}

}  // namespace
}  // namespace atlas
