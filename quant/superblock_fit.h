#pragma once
// Scales of the 256-element blocks: every sub-block is fitted alone (quant/fit.h), the fits are rounded to small whole
// multiples of the block's own scale(s), and then the multiples and the block's scales are improved alternately against
// the values themselves.

#include "quant/fit.h"

namespace atlas {

inline constexpr size_t kSuperblockElems = 256;
using SuperblockValues = std::span<const float, kSuperblockElems>;

/// x ~ d * scale[sub] * level, with scale[sub] a whole number in a range.
template <size_t kSubs>
struct ScaledSubs {
    uint16_t d = 0;  // half
    std::array<int, kSubs> scale{};
};

/// x ~ d * scale[sub] * code - dmin * min[sub], with scale and min whole numbers from 0 to a maximum.
template <size_t kSubs>
struct AffineSubs {
    uint16_t d = 0;  // halves
    uint16_t dmin = 0;
    std::array<uint8_t, kSubs> scale{};
    std::array<uint8_t, kSubs> min{};
};

/// Of the multiples middle - 1, middle, middle + 1 of d in scale_low..-scale_low - 1 the one that fits a sub-block
/// best.
template <class Levels>
int best_multiple(std::span<const float> x, std::span<const float> w, float d, int middle, int scale_low,
                  const Levels& levels) {
    int best = middle;
    float best_error = error_of_scale(x, w, d * static_cast<float>(middle), levels);
    for (const int scale : {middle - 1, middle + 1}) {
        if (scale < scale_low || scale >= -scale_low) continue;
        const float error = error_of_scale(x, w, d * static_cast<float>(scale), levels);
        if (error < best_error) {
            best_error = error;
            best = scale;
        }
    }
    return best;
}

/// How often the multiples and the block's scale are improved alternately. On the Gaussian rows of
/// tests/quant/quantize_test.cpp (2026-11-21) 3 instead of 1 took up to 1.2 % off the error, 6 instead of 3 at most 0.2
/// %.
inline constexpr int kRounds = 3;

/// Fits a whole block.  x, w: [256]; scales are in scale_low..-scale_low - 1.
template <size_t kSubs, class Levels>
ScaledSubs<kSubs> fit_scaled_subs(SuperblockValues x, SuperblockValues w, const Levels& levels, int scale_low) {
    constexpr size_t kElems = kSuperblockElems / kSubs;
    const auto low = static_cast<float>(scale_low);
    std::array<float, kSubs> fitted;
    float largest = 0;
    for (size_t sub = 0; sub < kSubs; ++sub) {
        fitted[sub] = fit_scale(x.subspan(sub * kElems, kElems), w.subspan(sub * kElems, kElems), levels);
        if (std::abs(fitted[sub]) > std::abs(largest)) largest = fitted[sub];
    }
    ScaledSubs<kSubs> out;
    out.d = half_scale(largest / low);
    for (int round = 0; round < kRounds; ++round) {
        const float d = half_to_float(out.d);
        if (!(std::abs(d) > 0)) return {};
        Float4 wxl{}, wll{};
        for (size_t sub = 0; sub < kSubs; ++sub) {
            const auto sub_x = x.subspan(sub * kElems, kElems), sub_w = w.subspan(sub * kElems, kElems);
            const int near = static_cast<int>(round_small(clamp_number(fitted[sub] / d, low, -low - 1)));
            out.scale[sub] = best_multiple(sub_x, sub_w, d, round == 0 ? near : out.scale[sub], scale_low, levels);
            const auto scale = static_cast<float>(out.scale[sub]);
            const float inverse = inverse_or_zero(d * scale);
            for (size_t i = 0; i < kElems; i += 4) {
                const Float4 value = load4(sub_x, i);
                const Float4 level = splat(scale) * levels.nearest(value * splat(inverse));
                const Float4 weighted = load4(sub_w, i) * level;
                wxl += weighted * value;
                wll += weighted * level;
            }
        }
        if (round + 1 < kRounds && sum(wll) > 0) out.d = half_scale(sum(wxl) / sum(wll));
    }
    return out;
}

inline float error_of_affine(std::span<const float> x, std::span<const float> w, AffineFit fit, float code_max) {
    const float inverse = inverse_or_zero(fit.scale);
    Float4 error{};
    for (size_t i = 0; i < x.size(); i += 4) {
        const Float4 value = load4(x, i) + splat(fit.min);
        const Float4 miss = value - splat(fit.scale) * round_small(clamp_number(value * splat(inverse), 0, code_max));
        error += load4(w, i) * miss * miss;
    }
    return sum(error);
}

struct Multiples {
    int scale;
    int min;
};

/// Of the multiples of d and dmin around `middle`, in 0..multiple_max, the pair that fits a sub-block best.
Multiples best_multiples(std::span<const float> x, std::span<const float> w, float d, float dmin, Multiples middle,
                         int multiple_max, float code_max);

/// Sums for the best d and dmin with all codes and multiples given: the normal equations of x ~ d * a - dmin * b.
struct AffineSums {
    double aa = 0, bb = 0, ab = 0, ax = 0, bx = 0;

    void add(std::span<const float> x, std::span<const float> w, float d, float dmin, Multiples multiples,
             float code_max);
    /// False where they have no solution with d > 0 and dmin >= 0.
    bool solve(float& d, float& dmin) const;
};

/// Fits a whole block.  x, w: [256]; multiples are in 0..multiple_max.
template <size_t kSubs>
AffineSubs<kSubs> fit_affine_subs(SuperblockValues x, SuperblockValues w, float code_max, int multiple_max) {
    constexpr size_t kElems = kSuperblockElems / kSubs;
    const auto max = static_cast<float>(multiple_max);
    std::array<AffineFit, kSubs> fitted;
    float largest_scale = 0, largest_min = 0;
    for (size_t sub = 0; sub < kSubs; ++sub) {
        fitted[sub] = fit_affine(x.subspan(sub * kElems, kElems), w.subspan(sub * kElems, kElems), code_max, false);
        largest_scale = std::max(largest_scale, fitted[sub].scale);
        largest_min = std::max(largest_min, fitted[sub].min);
    }
    AffineSubs<kSubs> out;
    out.d = half_scale(largest_scale / max);
    out.dmin = half_scale(largest_min / max);
    for (int round = 0; round < kRounds; ++round) {
        float d = half_to_float(out.d), dmin = half_to_float(out.dmin);
        AffineSums sums;
        for (size_t sub = 0; sub < kSubs; ++sub) {
            const auto sub_x = x.subspan(sub * kElems, kElems), sub_w = w.subspan(sub * kElems, kElems);
            const auto near = [&](float value, float unit) {
                return static_cast<int>(round_small(clamp_number(value * inverse_or_zero(unit), 0, max)));
            };
            const Multiples middle = round == 0 ? Multiples{near(fitted[sub].scale, d), near(fitted[sub].min, dmin)}
                                                : Multiples{out.scale[sub], out.min[sub]};
            const Multiples best = best_multiples(sub_x, sub_w, d, dmin, middle, multiple_max, code_max);
            out.scale[sub] = static_cast<uint8_t>(best.scale);
            out.min[sub] = static_cast<uint8_t>(best.min);
            sums.add(sub_x, sub_w, d, dmin, best, code_max);
        }
        if (round + 1 < kRounds && sums.solve(d, dmin)) {
            out.d = half_scale(d);
            out.dmin = half_scale(dmin);
        }
    }
    return out;
}

}  // namespace atlas
