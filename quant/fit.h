#pragma once
// Least squares search for the scales of a block: which scale, or scale and minimum, makes the sum of weight * (value -
// decoded)^2 smallest. The error as a function of the scale has many local minima, one per way of rounding; so a grid
// of scales is tried, and each is given the codes that it rounds to and then the best scale for those codes in closed
// form. The winner is polished by doing the same again until it no longer improves. The number of values is a multiple
// of 4.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>

#include "quant/half.h"
#include "quant/lanes.h"

namespace atlas {

/// The whole numbers low..high as decoded levels.
struct LinearLevels {
    float low;
    float high;
    template <class Number>
    Number nearest(Number value) const {
        return round_small(clamp_number(value, low, high));
    }
};

/// By how much the best scale reduces the squared error: (sum w x l)^2 / sum w l^2 at the best scale.
struct ScaleFit {
    float scale = 0;
    float gain = 0;
};

/// Values below this are zero to every format (the smallest half is 6e-8), and their squares would underflow.
inline constexpr float kNegligible = 1e-14f;

template <class Levels>
ScaleFit fit_codes_of_scale(std::span<const float> x, std::span<const float> w, float inverse, const Levels& levels) {
    Float4 wxl4{}, wll4{};
    for (size_t i = 0; i < x.size(); i += 4) {
        const Float4 value = load4(x, i);
        const Float4 level = levels.nearest(value * splat(inverse));
        const Float4 weighted = load4(w, i) * level;
        wxl4 += weighted * value;
        wll4 += weighted * level;
    }
    const float wxl = sum(wxl4), wll = sum(wll4);
    if (!(wll > 0)) return {};
    return {wxl / wll, wxl * wxl / wll};
}

/// The best scale for x ~ scale * level, of either sign.  Requires x.size() == w.size().
template <class Levels>
float fit_scale(std::span<const float> x, std::span<const float> w, const Levels& levels) {
    float largest = 0;
    for (const float value : x) {
        if (std::abs(value) > std::abs(largest)) largest = value;
    }
    if (!(std::abs(largest) > kNegligible)) return 0;
    constexpr int kSteps = 8;  // on each side of "the largest value is the last level"
    ScaleFit best;
    for (const float end : {levels.low, levels.high}) {
        if (end == -levels.low) continue;  // a symmetric range gives the same codes, negated
        const float step = (1.2f + 0.02f * std::abs(end)) / kSteps;
        for (int k = -kSteps; k <= kSteps; ++k) {
            const float reach = std::abs(end) + step * static_cast<float>(k);
            const ScaleFit fit = fit_codes_of_scale(x, w, std::copysign(reach, end) / largest, levels);
            if (fit.gain > best.gain) best = fit;
        }
    }
    for (int round = 0; round < 4 && best.scale != 0; ++round) {
        const ScaleFit fit = fit_codes_of_scale(x, w, 1 / best.scale, levels);
        if (!(fit.gain > best.gain)) break;
        best = fit;
    }
    return best.scale;
}

/// x ~ scale * code - min, code in 0..code_max.
struct AffineFit {
    float scale = 0;
    float min = 0;
};

/// The best scale >= 0 and min for codes 0..code_max; the min is >= 0 too unless `free_min`.  Requires x.size() ==
/// w.size().
AffineFit fit_affine(std::span<const float> x, std::span<const float> w, float code_max, bool free_min);

/// The weights of a block of N elements: `importance`, or ones where none is given or all of it is zero.
template <size_t N>
std::array<float, N> weights_or_ones(std::span<const float> importance) {
    std::array<float, N> w;
    w.fill(1);
    if (std::any_of(importance.begin(), importance.end(), [](float weight) { return weight > 0; })) {
        std::copy_n(importance.begin(), N, w.begin());
    }
    return w;
}

/// 1 / scale, or 0 for a scale of 0, so that all values become level 0 (or the nearest to it).
inline float inverse_or_zero(float scale) { return scale != 0 ? 1 / scale : 0; }

/// The code of an element of an affine block, 0..code_max.
inline float affine_code(float x, float inverse, float min, float code_max) {
    return round_small(clamp_number((x + min) * inverse, 0, code_max));
}
inline Float4 affine_code(Float4 x, float inverse, float min, float code_max) {
    return round_small(clamp_number((x + splat(min)) * splat(inverse), 0, code_max));
}

/// Sum of w * (x - scale * level)^2 with the nearest levels.
template <class Levels>
float error_of_scale(std::span<const float> x, std::span<const float> w, float scale, const Levels& levels) {
    const float inverse = inverse_or_zero(scale);
    Float4 error{};
    for (size_t i = 0; i < x.size(); i += 4) {
        const Float4 value = load4(x, i);
        const Float4 miss = value - splat(scale) * levels.nearest(value * splat(inverse));
        error += load4(w, i) * miss * miss;
    }
    return sum(error);
}

/// The half that a block stores for `scale`; never infinite, because one such scale would spoil the whole block.
inline uint16_t half_scale(float scale) { return float_to_half(clamp_number(scale, -65504.0f, 65504.0f)); }

}  // namespace atlas
