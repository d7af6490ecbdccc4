#include "runtime/kernels/ops/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace atlas {

namespace {

/// The (fractional) pair that rotates `rotations` times over the original context.
double pair_of_rotations(const RopeParams& p, double rotations) {
    return p.n_rot * std::log(p.n_ctx_orig / (rotations * 2 * std::numbers::pi)) / (2 * std::log(double{p.rope_theta}));
}

}  // namespace

std::vector<uint64_t> rope_turns(const RopeParams& p) {
    ATLAS_CHECK(p.n_rot % 2 == 0 && p.n_rot <= p.head_dim, "n_rot {} of head_dim {}", p.n_rot, p.head_dim);
    double low = 0, high = 0;
    if (p.ext_factor != 0) {
        low = std::max(0.0, std::floor(pair_of_rotations(p, p.beta_fast)));
        high = std::min(p.n_rot - 1.0, std::ceil(pair_of_rotations(p, p.beta_slow)));
    }
    std::vector<uint64_t> turns(p.n_rot / 2);
    for (uint32_t i = 0; i < turns.size(); ++i) {
        // Pairs that rotate often keep their frequency (extrapolation), slow ones are scaled down, and YaRN blends in
        // between.
        const double keep = p.ext_factor == 0
                                ? 0.0
                                : p.ext_factor * (1 - std::clamp((i - low) / std::max(0.001, high - low), 0.0, 1.0));
        const double radians =
            std::pow(double{p.rope_theta}, -2.0 * i / p.n_rot) * (keep + (1 - keep) * double{p.freq_scale});
        const double fraction = radians / (2 * std::numbers::pi);
        turns[i] = static_cast<uint64_t>(std::ldexp(fraction - std::floor(fraction), 64));
    }
    return turns;
}

float rope_magnitude(const RopeParams& p) {
    const double yarn = p.ext_factor == 0 ? 1.0 : 1.0 + 0.1 * std::log(1.0 / double{p.freq_scale});
    return static_cast<float>(p.attn_factor * yarn);
}

}  // namespace atlas
