#include "quant/fit.h"

namespace atlas {
namespace {

struct Candidate {
    AffineFit fit;
    float error = 0;  // less the constant sum w x^2
};

struct Affine {
    std::span<const float> x;
    std::span<const float> w;
    float code_max;
    bool free_min;
    float sum_w;
    float sum_wx;
};

// The codes that "(x + min) * inverse" rounds to, and the best scale and min for them in closed form.
Candidate fit_codes(const Affine& in, float inverse, float min) {
    Float4 wl4{}, wxl4{}, wll4{};
    for (size_t i = 0; i < in.x.size(); i += 4) {
        const Float4 value = load4(in.x, i);
        const Float4 code = affine_code(value, inverse, min, in.code_max);
        const Float4 weighted = load4(in.w, i) * code;
        wl4 += weighted;
        wxl4 += weighted * value;
        wll4 += weighted * code;
    }
    const float wl = sum(wl4), wxl = sum(wxl4), wll = sum(wll4);
    const float det = in.sum_w * wll - wl * wl;
    AffineFit fit;
    if (det > 0) {
        fit.scale = (in.sum_w * wxl - in.sum_wx * wl) / det;
        fit.min = (wl * fit.scale - in.sum_wx) / in.sum_w;
    } else if (in.free_min) {
        fit.min = -in.sum_wx / in.sum_w;
    }
    if (!in.free_min && !(fit.min >= 0 && det > 0)) fit = {wll > 0 ? wxl / wll : 0, 0};
    return {fit, fit.scale * (fit.scale * wll - 2 * wxl - 2 * fit.min * wl) +
                     fit.min * (fit.min * in.sum_w + 2 * in.sum_wx)};
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
    Affine in{x, w, code_max, free_min, 0, 0};
    for (size_t i = 0; i < x.size(); ++i) {
        in.sum_w += w[i];
        in.sum_wx += w[i] * x[i];
    }
    constexpr int kStepsBelow = 8, kStepsAbove = 16;
    Candidate best;
    for (int k = -kStepsBelow; k <= kStepsAbove; ++k) {
        const float inverse = (code_max + 0.1f * static_cast<float>(k)) / (high - low);
        const Candidate candidate = fit_codes(in, inverse, -low);
        if (candidate.error < best.error && candidate.fit.scale >= 0) best = candidate;
    }
    for (int round = 0; round < 4 && best.fit.scale > 0; ++round) {
        const Candidate candidate = fit_codes(in, 1 / best.fit.scale, best.fit.min);
        if (!(candidate.error < best.error && candidate.fit.scale >= 0)) break;
        best = candidate;
    }
    return best.fit;
}

}  // namespace atlas
