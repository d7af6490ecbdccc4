#include "quant/fit.h"

namespace atlas {
namespace {

struct Candidate {
    AffineFit fit;
    float error = 0;  // less the constant sum w x^2
};

// The codes that "(x - from) * inverse" rounds to, and the best scale and min for them in closed form.
Candidate fit_codes_of_affine(std::span<const float> x, std::span<const float> w, float inverse, float from,
                              float code_max, bool free_min) {
    float sum_w = 0, wx = 0, wl = 0, wxl = 0, wll = 0;
    for (size_t i = 0; i < x.size(); ++i) {
        const float code = round_small(clamp_number((x[i] - from) * inverse, 0, code_max));
        const float weighted = w[i] * code;
        sum_w += w[i];
        wx += w[i] * x[i];
        wl += weighted;
        wxl += weighted * x[i];
        wll += weighted * code;
    }
    const float det = sum_w * wll - wl * wl;
    AffineFit fit;
    if (det > 0) {
        fit.scale = (sum_w * wxl - wx * wl) / det;
        fit.min = (wl * fit.scale - wx) / sum_w;
    } else if (free_min) {
        fit.min = -wx / sum_w;
    }
    if (!free_min && !(fit.min >= 0 && det > 0)) fit = {wll > 0 ? wxl / wll : 0, 0};
    return {fit, fit.scale * (fit.scale * wll - 2 * wxl - 2 * fit.min * wl) + fit.min * (fit.min * sum_w + 2 * wx)};
}

}  // namespace

AffineFit fit_affine(std::span<const float> x, std::span<const float> w, float code_max, bool free_min) {
    float low = free_min ? x[0] : 0;
    float high = low;
    for (const float value : x) {
        low = std::min(low, value);
        high = std::max(high, value);
    }
    if (!(high - low > kNegligible)) return {0, -low};
    constexpr int kStepsBelow = 8, kStepsAbove = 16;
    Candidate best;
    for (int k = -kStepsBelow; k <= kStepsAbove; ++k) {
        const float inverse = (code_max + 0.1f * static_cast<float>(k)) / (high - low);
        const Candidate candidate = fit_codes_of_affine(x, w, inverse, low, code_max, free_min);
        if (candidate.error < best.error && candidate.fit.scale >= 0) best = candidate;
    }
    for (int round = 0; round < 4 && best.fit.scale > 0; ++round) {
        const Candidate candidate = fit_codes_of_affine(x, w, 1 / best.fit.scale, -best.fit.min, code_max, free_min);
        if (!(candidate.error < best.error && candidate.fit.scale >= 0)) break;
        best = candidate;
    }
    return best.fit;
}

}  // namespace atlas
