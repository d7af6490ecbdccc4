#include "runtime/model/cache_rotation.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <span>

#include "runtime/base/check.h"
#include "runtime/ops/kv_layout.h"

namespace atlas {

namespace {

// Of the mean variance, added to every direction. From 0.001 to 0.1 the error of attention changed by 5 % (SmolLM2,
// keys of q4_0, 2026-11-21).
constexpr double kUnseenShare = 0.01;

// Of the eigenvalues of C Q, what A takes: 1/4 balances, 0 would whiten keys. Divergence of attention's weights with
// keys of q4_0 (SmolLM2, 2026-11-21) at 0.25, 0.20, 0.15, 0.10, 0.05, 0: .0054 .0047 .0045 .0046 .0048 .0056; of the
// whole model's output 0.20 was better than 0.15.
constexpr double kSpread = 0.2;

// A square matrix, outermost rows.
struct Square {
    uint32_t n = 0;
    std::vector<double> at;
    explicit Square(uint32_t size) : n(size), at(uint64_t{size} * size, 0) {}
    double& operator()(uint32_t r, uint32_t c) { return at[uint64_t{r} * n + c]; }
    double operator()(uint32_t r, uint32_t c) const { return at[uint64_t{r} * n + c]; }
};

Square product(const Square& a, const Square& b) {
    Square out(a.n);
    for (uint32_t r = 0; r < a.n; ++r) {
        for (uint32_t i = 0; i < a.n; ++i) {
            for (uint32_t c = 0; c < a.n; ++c) out(r, c) += a(r, i) * b(i, c);
        }
    }
    return out;
}

Square transposed(const Square& a) {
    Square out(a.n);
    for (uint32_t r = 0; r < a.n; ++r) {
        for (uint32_t c = 0; c < a.n; ++c) out(c, r) = a(r, c);
    }
    return out;
}

// Symmetric, and never singular: directions that were not seen get a share of the mean variance. All zeros become the
// unit matrix.
Square with_unseen(uint32_t n, const std::vector<double>& values) {
    Square out(n);
    out.at = values;
    double trace = 0;
    for (uint32_t i = 0; i < n; ++i) trace += out(i, i);
    const double share = trace > 0 ? kUnseenShare * trace / n : 1.0;
    for (uint32_t i = 0; i < n; ++i) out(i, i) += share;
    return out;
}

// Lower L with L L^T = a.
Square cholesky(const Square& a) {
    Square lower(a.n);
    for (uint32_t r = 0; r < a.n; ++r) {
        for (uint32_t c = 0; c <= r; ++c) {
            double rest = a(r, c);
            for (uint32_t i = 0; i < c; ++i) rest -= lower(r, i) * lower(c, i);
            lower(r, c) = r == c ? std::sqrt(std::max(rest, 1e-300)) : rest / lower(c, c);
        }
    }
    return lower;
}

Square inverse_of_lower(const Square& lower) {
    Square out(lower.n);
    for (uint32_t c = 0; c < lower.n; ++c) {
        for (uint32_t r = c; r < lower.n; ++r) {
            double rest = r == c ? 1.0 : 0.0;
            for (uint32_t i = c; i < r; ++i) rest -= lower(r, i) * out(i, c);
            out(r, c) = rest / lower(r, r);
        }
    }
    return out;
}

// Jacobi's method: a, symmetric, becomes diagonal; the columns of what comes back are its eigenvectors.
Square diagonalize(Square& a) {
    Square vectors(a.n);
    for (uint32_t i = 0; i < a.n; ++i) vectors(i, i) = 1;
    constexpr int kMostSweeps = 30;
    for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
        double off = 0, all = 0;
        for (uint32_t r = 0; r < a.n; ++r) {
            for (uint32_t c = 0; c < a.n; ++c) (r == c ? all : off) += a(r, c) * a(r, c);
        }
        if (off <= 1e-22 * all) break;
        for (uint32_t p = 0; p < a.n; ++p) {
            for (uint32_t q = p + 1; q < a.n; ++q) {
                if (a(p, q) == 0) continue;
                const double half = (a(q, q) - a(p, p)) / (2 * a(p, q));
                const double t = (half < 0 ? -1 : 1) / (std::abs(half) + std::sqrt(half * half + 1));
                const double cosine = 1 / std::sqrt(t * t + 1), sine = t * cosine;
                const auto turn = [&](double& x, double& y) {
                    const double before = x;
                    x = cosine * before - sine * y;
                    y = sine * before + cosine * y;
                };
                for (uint32_t i = 0; i < a.n; ++i) turn(a(i, p), a(i, q));
                for (uint32_t i = 0; i < a.n; ++i) turn(a(p, i), a(q, i));
                for (uint32_t i = 0; i < a.n; ++i) turn(vectors(i, p), vectors(i, q));
            }
        }
    }
    return vectors;
}

// Rows of m become those of m P H: P reflects `direction` onto the first axis, H is the Hadamard matrix of every block.
void reflect_and_spread(Square& m, const std::vector<double>& direction) {
    const uint32_t n = m.n, block = hadamard_block(n);
    std::vector<double> w = direction;
    double length = 0;
    for (const double x : w) length += x * x;
    length = std::sqrt(length);
    // Onto the axis' far side where that is nearer: the difference of two nearly equal vectors would be noise.
    w[0] += w[0] < 0 ? -length : length;
    double squares = 0;
    for (const double x : w) squares += x * x;
    for (uint32_t r = 0; r < n; ++r) {
        const std::span<double> row(&m(r, 0), n);
        if (squares > 0) {
            double dot = 0;
            for (uint32_t i = 0; i < n; ++i) dot += row[i] * w[i];
            for (uint32_t i = 0; i < n; ++i) row[i] -= 2 * dot / squares * w[i];
        }
        const std::vector<double> before(row.begin(), row.end());
        for (uint32_t c = 0; c < n; ++c) {
            row[c] = 0;
            for (uint32_t i = 0; i < block; ++i)
                row[c] += (std::popcount(i & (c % block)) % 2 != 0 ? -1 : 1) * before[c / block * block + i];
            row[c] /= std::sqrt(double(block));
        }
    }
}

// F without its diagonal, for m = F^T D F: with rows and columns in reverse, F^T is Cholesky's factor with its columns
// divided.
std::vector<float> feedback_of(const Square& m) {
    const uint32_t n = m.n;
    Square reversed(n);
    for (uint32_t r = 0; r < n; ++r) {
        for (uint32_t c = 0; c < n; ++c) reversed(r, c) = m(n - 1 - r, n - 1 - c);
    }
    const Square lower = cholesky(reversed);
    std::vector<float> feedback(uint64_t{n} * n, 0);
    for (uint32_t i = 0; i < n; ++i) {
        for (uint32_t j = 0; j < i; ++j)
            feedback[uint64_t{i} * n + j] =
                static_cast<float>(lower(n - 1 - j, n - 1 - i) / lower(n - 1 - i, n - 1 - i));
    }
    return feedback;
}

std::vector<double> row_times(const std::vector<double>& row, const Square& m) {
    std::vector<double> out(m.n, 0);
    for (uint32_t i = 0; i < m.n; ++i) {
        for (uint32_t c = 0; c < m.n; ++c) out[c] += row[i] * m(i, c);
    }
    return out;
}

// [n_head_kv] parts one after the other.
std::vector<float> joined(const std::vector<HeadRotation>& heads, std::vector<float> HeadRotation::*part) {
    std::vector<float> all;
    for (const HeadRotation& head : heads) all.insert(all.end(), (head.*part).begin(), (head.*part).end());
    return all;
}

}  // namespace

HeadRotation fit_head_rotation(const HeadStatistics& s) {
    const uint32_t n = s.dim;
    ATLAS_CHECK(s.key_mean.size() == n && s.first_key.size() == n && s.key_moments.size() == uint64_t{n} * n &&
                    s.query_moments.size() == uint64_t{n} * n,
                "statistics of a head of {}", n);
    // C = L L^T and L^T Q L = U e U^T: then A = e^(1/4) U^T L^-1 would make A C A^T and A^-T Q A^-1 both e^(1/2).
    std::vector<double> covariance = s.key_moments;
    for (uint32_t i = 0; i < n; ++i) {
        for (uint32_t j = 0; j < n; ++j) covariance[uint64_t{i} * n + j] -= s.key_mean[i] * s.key_mean[j];
    }
    const Square lower = cholesky(with_unseen(n, covariance)), queries = with_unseen(n, s.query_moments);
    Square balance = product(transposed(lower), product(queries, lower));
    const Square vectors = diagonalize(balance);
    Square k = product(transposed(inverse_of_lower(lower)), vectors),
           q = product(lower, vectors);  // A^T and A^-1 but for e^kSpread
    for (uint32_t c = 0; c < n; ++c) {
        const double root = std::pow(std::max(balance(c, c), 1e-30), kSpread);
        for (uint32_t r = 0; r < n; ++r) {
            k(r, c) *= root;
            q(r, c) /= root;
        }
    }
    std::vector<double> first = s.first_key;
    for (uint32_t i = 0; i < n; ++i) first[i] -= s.key_mean[i];
    const std::vector<double> direction = row_times(first, k);
    reflect_and_spread(k, direction);
    reflect_and_spread(q, direction);
    HeadRotation turn{{k.at.begin(), k.at.end()},
                      {},
                      {q.at.begin(), q.at.end()},
                      feedback_of(product(transposed(q), product(queries, q)))};
    for (const double x : row_times(s.key_mean, k)) turn.shift.push_back(static_cast<float>(-x));
    return turn;
}

HeadRotation fit_value_rotation(const HeadStatistics& statistics) {
    HeadRotation turn = fit_head_rotation(statistics);
    const uint32_t n = statistics.dim;
    for (uint32_t r = 0; r < n; ++r) {  // A^-1 becomes A^-T: out rotates attention's result back, not the queries
        for (uint32_t c = 0; c < r; ++c) std::swap(turn.out[uint64_t{r} * n + c], turn.out[uint64_t{c} * n + r]);
    }
    return turn;
}

HeadStatistics head_statistics(uint32_t dim, const std::vector<float>& keys, const std::vector<float>& queries) {
    ATLAS_CHECK(dim > 0 && keys.size() % dim == 0 && keys.size() > dim && queries.size() % dim == 0 && !queries.empty(),
                "{} and {} numbers in heads of {}", keys.size(), queries.size(), dim);
    HeadStatistics s{dim, std::vector<double>(dim, 0), {}, {}, {keys.begin(), keys.begin() + dim}};
    const std::span<const float> others = std::span(keys).subspan(dim);
    const double n_others = double(others.size() / dim);
    for (size_t i = 0; i < others.size(); ++i) s.key_mean[i % dim] += others[i] / n_others;
    const auto moments = [dim](std::span<const float> rows) {
        std::vector<double> sums(uint64_t{dim} * dim, 0), row(dim);
        const double n_rows = double(rows.size() / dim);
        for (size_t first = 0; first < rows.size(); first += dim) {
            for (uint32_t i = 0; i < dim; ++i) row[i] = rows[first + i];
            for (uint32_t i = 0; i < dim; ++i) {
                for (uint32_t j = 0; j < dim; ++j) sums[uint64_t{i} * dim + j] += row[i] * row[j] / n_rows;
            }
        }
        return sums;
    };
    s.key_moments = moments(others);
    s.query_moments = moments(queries);
    return s;
}

void add_to_mean(HeadStatistics& sum, uint32_t n_seen, const HeadStatistics& next) {
    ATLAS_CHECK_EQ(sum.dim, next.dim);
    const auto add = [&](std::vector<double>& mean, const std::vector<double>& one) {
        for (size_t i = 0; i < mean.size(); ++i) mean[i] += (one[i] - mean[i]) / (n_seen + 1.0);
    };
    add(sum.key_mean, next.key_mean);
    add(sum.key_moments, next.key_moments);
    add(sum.query_moments, next.query_moments);
}

void add_cache_rotations(const std::vector<LayerRotations>& turns, gguf::Writer& writer) {
    for (size_t il = 0; il < turns.size(); ++il) {
        const auto add = [&](std::string_view name, const std::vector<HeadRotation>& heads,
                             std::vector<float> HeadRotation::*part, bool is_vector = false) {
            const uint64_t d = heads.front().shift.size(), width = d * heads.size();
            std::vector<uint64_t> shape = {width};
            if (!is_vector) shape.push_back(d);
            writer.add_tensor(fmt::format("blk.{}.{}", il, name), shape, Format::f32,
                              [values = joined(heads, part)](std::span<std::byte> out) {
                                  std::memcpy(out.data(), values.data(), out.size());
                              });
        };
        add("cache_turn_k.weight", turns[il].k, &HeadRotation::in);
        add("cache_turn_k.bias", turns[il].k, &HeadRotation::shift, true);
        add("cache_turn_q.weight", turns[il].k, &HeadRotation::out);
        add("cache_turn_k_feedback.weight", turns[il].k, &HeadRotation::feedback);
        add("cache_turn_v.weight", turns[il].v, &HeadRotation::in);
        add("cache_turn_v_back.weight", turns[il].v, &HeadRotation::out);
        add("cache_turn_v_feedback.weight", turns[il].v, &HeadRotation::feedback);
    }
}

}  // namespace atlas
