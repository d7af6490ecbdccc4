#include "runtime/model/key_shift.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <limits>

#include "runtime/base/check.h"

namespace atlas {

namespace {

using Complex = std::complex<double>;

// Where the pairs of a head lie, and what rope multiplies each by, averaged over the positions.
class MeanRope {
  public:
    MeanRope(const RopeParams& rope, uint32_t n_ctx_train) : rope_(rope) {
        ATLAS_CHECK(rope.head_dim > 0 && rope.n_rot <= rope.head_dim && rope.n_rot % 2 == 0, "rope of {} of {} columns",
                    rope.n_rot, rope.head_dim);
        const double n = std::max(1u, std::min(kShiftPositions, n_ctx_train));
        for (uint32_t pair = 0; pair < rope.n_rot / 2; ++pair) {
            // YaRN lowers the frequencies that matter here by freq_scale, too.
            const double theta = rope.freq_scale * std::pow(double(rope.rope_theta), -2.0 * pair / rope.n_rot);
            const Complex step = std::polar(1.0, theta), below = 1.0 - step;
            // The sum of a geometric series, or nearly n where the pair hardly rotates at all.
            factors_.push_back(std::abs(below) < 1e-12 ? Complex(1.0)
                                                       : (1.0 - std::polar(1.0, theta * n)) / (n * below));
        }
    }

    uint32_t first(uint32_t pair) const { return rope_.pairing == RopeParams::Pairing::halves ? pair : 2 * pair; }
    uint32_t second(uint32_t pair) const {
        return rope_.pairing == RopeParams::Pairing::halves ? pair + rope_.n_rot / 2 : 2 * pair + 1;
    }
    const std::vector<Complex>& factors() const { return factors_; }

  private:
    const RopeParams& rope_;
    std::vector<Complex> factors_;
};

bool finite(std::span<const float> head) {
    return std::all_of(head.begin(), head.end(), [](float x) { return std::isfinite(x); });
}

}  // namespace

std::vector<float> key_shift(std::span<const float> bias, const RopeParams& rope, uint32_t n_ctx_train) {
    const uint32_t dim = rope.head_dim;
    ATLAS_CHECK(dim > 0 && bias.size() % dim == 0, "a bias of {} in heads of {}", bias.size(), dim);
    const MeanRope mean_rope(rope, n_ctx_train);
    const uint32_t block = hadamard_block(dim);
    std::vector<float> shift(bias.size(), 0.0f);
    for (size_t at = 0; at < bias.size(); at += dim) {
        const std::span<const float> head = bias.subspan(at, dim);
        if (!finite(head)) continue;
        std::vector<double> mean(head.begin(), head.end());
        for (uint32_t pair = 0; pair < mean_rope.factors().size(); ++pair) {
            const uint32_t a = mean_rope.first(pair), b = mean_rope.second(pair);
            const Complex turned = Complex(head[a], head[b]) * mean_rope.factors()[pair];
            mean[a] = turned.real();
            mean[b] = turned.imag();
        }
        for (uint32_t i = 0; i < dim; ++i) {
            double sum = 0;
            for (uint32_t j = 0; j < block; ++j)
                sum += (std::popcount(j & (i % block)) % 2 != 0 ? -1 : 1) * mean[i / block * block + j];
            shift[at + i] = static_cast<float>(-sum / std::sqrt(double(block)));
        }
    }
    return shift;
}

double key_bias_left(std::span<const float> bias, const RopeParams& rope, uint32_t n_ctx_train) {
    const uint32_t dim = rope.head_dim;
    ATLAS_CHECK(dim > 0 && bias.size() % dim == 0, "a bias of {} in heads of {}", bias.size(), dim);
    const MeanRope mean_rope(rope, n_ctx_train);
    double most = 0;
    for (size_t at = 0; at < bias.size(); at += dim) {
        const std::span<const float> head = bias.subspan(at, dim);
        if (!finite(head)) return std::numeric_limits<double>::infinity();
        double sum = 0;
        for (uint32_t pair = 0; pair < mean_rope.factors().size(); ++pair) {
            const Complex own(head[mean_rope.first(pair)], head[mean_rope.second(pair)]);
            sum += std::norm(own) * std::max(0.0, 1 - std::norm(mean_rope.factors()[pair]));
        }
        most = std::max(most, std::sqrt(sum / dim));
    }
    return most;
}

}  // namespace atlas
