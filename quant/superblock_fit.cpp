#include "quant/superblock_fit.h"

namespace atlas {

Multiples best_multiples(std::span<const float> x, std::span<const float> w, float d, float dmin, Multiples middle,
                         int multiple_max, float code_max) {
    const auto error_of = [&](Multiples m) {
        return error_of_affine(x, w, {d * static_cast<float>(m.scale), dmin * static_cast<float>(m.min)}, code_max);
    };
    Multiples best = middle;
    float best_error = error_of(middle);
    for (int scale = std::max(middle.scale - 1, 0); scale <= std::min(middle.scale + 1, multiple_max); ++scale) {
        for (int min = std::max(middle.min - 1, 0); min <= std::min(middle.min + 1, multiple_max); ++min) {
            if (scale == middle.scale && min == middle.min) continue;
            const float error = error_of({scale, min});
            if (error < best_error) {
                best_error = error;
                best = {scale, min};
            }
        }
    }
    return best;
}

void AffineSums::add(std::span<const float> x, std::span<const float> w, float d, float dmin, Multiples multiples,
                     float code_max) {
    const auto scale = static_cast<float>(multiples.scale), b = static_cast<float>(multiples.min);
    const float inverse = inverse_or_zero(d * scale);
    float sum_w = 0, wa = 0, wx = 0, waa = 0, wax = 0;
    for (size_t i = 0; i < x.size(); ++i) {
        const float a = scale * affine_code(x[i], inverse, dmin * b, code_max);
        sum_w += w[i];
        wa += w[i] * a;
        wx += w[i] * x[i];
        waa += w[i] * a * a;
        wax += w[i] * a * x[i];
    }
    aa += waa;
    bb += b * b * sum_w;
    ab += b * wa;
    ax += wax;
    bx += b * wx;
}

bool AffineSums::solve(float& d, float& dmin) const {
    const double det = aa * bb - ab * ab;
    if (bb == 0 && aa > 0) {  // no sub-block has a minimum
        d = static_cast<float>(ax / aa);
        return d > 0;
    }
    if (!(det > 0)) return false;
    const double best_d = (bb * ax - ab * bx) / det;
    const double best_dmin = (ab * ax - aa * bx) / det;
    if (!(best_d > 0 && best_dmin >= 0)) return false;
    d = static_cast<float>(best_d);
    dmin = static_cast<float>(best_dmin);
    return true;
}

}  // namespace atlas
