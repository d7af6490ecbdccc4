// Routing and experts.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/reference/ref_activation.h"
#include "tests/reference/ref_ops.h"

namespace atlas {

namespace {

std::vector<double> gated(RoutingParams::Gating gating, const std::vector<float>& logits) {
    std::vector<double> p(logits.begin(), logits.end());
    if (gating == RoutingParams::Gating::sigmoid)
        for (double& v : p) v = 1 / (1 + std::exp(-v));
    if (gating == RoutingParams::Gating::sqrt_softplus)
        for (double& v : p) v = std::sqrt(softplus(v));
    if (gating != RoutingParams::Gating::softmax) return p;
    const double largest = *std::max_element(p.begin(), p.end());
    double sum = 0;
    for (double& v : p) sum += v = std::exp(v - largest);
    for (double& v : p) v /= sum;
    return p;
}

// The numbers of the n largest scores, best first; of equal ones the first.
std::vector<uint32_t> best(const std::vector<double>& scores, uint32_t n) {
    std::vector<uint32_t> order(scores.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; });
    order.resize(n);
    return order;
}

void drop_groups(const RoutingParams& params, std::vector<double>& scores) {
    const size_t size = scores.size() / params.n_groups;
    std::vector<double> groups;
    for (size_t first = 0; first < scores.size(); first += size) {
        std::vector<double> sorted(scores.begin() + std::ptrdiff_t(first),
                                   scores.begin() + std::ptrdiff_t(first + size));
        std::sort(sorted.rbegin(), sorted.rend());
        groups.push_back(size > 1 ? sorted[0] + sorted[1] : sorted[0]);
    }
    const std::vector<uint32_t> used = best(groups, params.n_groups_used);
    for (size_t e = 0; e < scores.size(); ++e) {
        if (std::find(used.begin(), used.end(), e / size) == used.end())
            scores[e] = -std::numeric_limits<double>::infinity();
    }
}

// One expert's product with a row of activations.
std::vector<double> multiply(const ExpertMatrices& m, uint32_t expert, const std::vector<float>& x) {
    std::vector<double> y(m.n_out);
    const auto bias = m.b ? read_row(m.b, expert) : std::vector<float>(m.n_out, 0.0f);
    const double scale = m.scale ? read_row(m.scale, 0)[expert] : 1.0f;
    for (uint32_t o = 0; o < m.n_out; ++o) {
        const auto weights = read_row(m.w, expert * m.stride + m.first + o);
        double sum = 0;
        for (size_t i = 0; i < x.size(); ++i) sum += double{weights[i]} * x[i];
        y[o] = sum * scale + bias[o];
    }
    return y;
}

}  // namespace

void RefOps::route(const Tensor& logits, const Tensor& bias, const RoutingParams& params, const Tensor& routes) {
    ATLAS_CHECK(routes.cols == 2 * params.n_used && routes.rows == logits.rows, "{} of [{}, {}]", params.n_used,
                routes.rows, routes.cols);
    for (uint32_t t = 0; t < logits.rows; ++t) {
        const std::vector<double> p = gated(params.gating, read_row(logits, t));
        std::vector<double> scores = p;
        if (bias) {
            const auto biases = read_row(bias, 0);
            for (size_t e = 0; e < scores.size(); ++e) scores[e] += biases[e];
        }
        if (params.n_groups > 1) drop_groups(params, scores);
        const std::vector<uint32_t> used = best(scores, params.n_used);
        std::vector<double> weights;
        for (const uint32_t e : used) weights.push_back(p[e]);
        if (params.gating == RoutingParams::Gating::softmax_of_used) {
            const double largest = *std::max_element(weights.begin(), weights.end());
            for (double& w : weights) w = std::exp(w - largest);
            const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
            for (double& w : weights) w /= sum;
        }
        const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
        std::vector<float> row(routes.cols);
        for (uint32_t j = 0; j < params.n_used; ++j) {
            row[j] = static_cast<float>(used[j]);
            row[params.n_used + j] = static_cast<float>(
                weights[j] / (params.normalized ? std::max(sum, double{6.1035e-5f}) : 1.0) * params.scale);
        }
        write_row(routes, t, row);
    }
}

void RefOps::experts_up(Activation activation, const ExpertMatrices& gate, const ExpertMatrices& up, const Tensor& x,
                        const Tensor& routes, const Tensor& y) {
    const uint32_t n_used = routes.cols / 2;
    ATLAS_CHECK_EQ(y.rows, x.rows * n_used);
    for (uint32_t t = 0; t < x.rows; ++t) {
        const auto input = read_row(x, t), route = read_row(routes, t);
        for (uint32_t j = 0; j < n_used; ++j) {
            const auto expert = static_cast<uint32_t>(route[j]);
            const auto ups = multiply(up, expert, input), gates = gate ? multiply(gate, expert, input) : ups;
            std::vector<float> row(up.n_out);
            for (uint32_t o = 0; o < up.n_out; ++o) {
                row[o] = static_cast<float>(activated(activation, gates[o]) *
                                            (gate ? factor_beside(activation, ups[o]) : 1.0));
            }
            write_row(y, t * n_used + j, row);
        }
    }
}

void RefOps::experts_down(const ExpertMatrices& down, const Tensor& x, const Tensor& routes, const Tensor& y) {
    const uint32_t n_used = routes.cols / 2;
    ATLAS_CHECK_EQ(x.rows, y.rows * n_used);
    for (uint32_t t = 0; t < y.rows; ++t) {
        const auto route = read_row(routes, t);
        std::vector<double> sums(down.n_out, 0);
        for (uint32_t j = 0; j < n_used; ++j) {
            const auto part = multiply(down, static_cast<uint32_t>(route[j]), read_row(x, t * n_used + j));
            for (uint32_t o = 0; o < down.n_out; ++o) sums[o] += double{route[n_used + j]} * part[o];
        }
        write_row(y, t, std::vector<float>(sums.begin(), sums.end()));
    }
}

}  // namespace atlas
