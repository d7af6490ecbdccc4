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
    Float4 w_sum{}, wa{}, wx{}, waa{}, wax{};
    for (size_t i = 0; i < x.size(); i += 4) {
        const Float4 value = load4(x, i), weight = load4(w, i);
        const Float4 a = splat(scale) * affine_code(value, inverse, dmin * b, code_max);
        w_sum += weight;
        wa += weight * a;
        wx += weight * value;
        waa += weight * a * a;
        wax += weight * a * value;
    }
    aa += sum(waa);
    bb += b * b * sum(w_sum);
    ab += b * sum(wa);
    ax += sum(wax);
    bx += b * sum(wx);
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
