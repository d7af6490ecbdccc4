// The scales of a block of 32 floats by least squares: what quant/fit.h does with equal weights, step by step and in its order of sums,
// so that a cache row holds the codes that the CPU's codec gives. A device whose division is not exact may settle on a scale in the last
// places beside it, and so on another local minimum with the same error.

float sum_lanes(vec4 lanes) {
    precise const float sum = (lanes.x + lanes.y) + (lanes.z + lanes.w);
    return sum;
}

vec4 nearest_levels(vec4 value, float low, float high) { return roundEven(clamp(value, low, high)); }

float sign_of(float x) { return floatBitsToUint(x) >= 0x80000000u ? -1.0 : 1.0; }

// (scale, gain): the best scale for the codes that x * inverse rounds to, and what it takes off the squared error.
vec2 codes_of_scale(vec4 x[8], float inverse, float low, float high) {
    precise vec4 xl = vec4(0.0), ll = vec4(0.0);
    [[unroll]] for (uint i = 0u; i < 8u; ++i) {
        const vec4 level = nearest_levels(x[i] * inverse, low, high);
        xl += level * x[i];
        ll += level * level;
    }
    precise const float sum_xl = sum_lanes(xl), sum_ll = sum_lanes(ll);
    if (!(sum_ll > 0.0)) return vec2(0.0);
    precise const vec2 fit = vec2(sum_xl / sum_ll, sum_xl * sum_xl / sum_ll);
    return fit;
}

// x ~ scale * level, level in low .. high.
float fit_scale(vec4 x[8], float low, float high) {
    float largest = 0.0;
    [[unroll]] for (uint i = 0u; i < 8u; ++i) {
        [[unroll]] for (uint j = 0u; j < 4u; ++j) {
            if (abs(x[i][j]) > abs(largest)) largest = x[i][j];
        }
    }
    if (!(abs(largest) > 1.0e-14)) return 0.0;
    vec2 best = vec2(0.0);
    // 17 scales with the largest value near the last level on either side (one of them where the range is symmetric), then four rounds of
    // polishing the best. One loop, so that the unrolled sums are compiled once.
    for (int trial = low == -high ? 17 : 0; trial < 38; ++trial) {
        const float end = trial < 17 ? low : high;
        precise const float step = (1.2 + 0.02 * abs(end)) / 8.0;
        precise const float reach = abs(end) + step * float(trial % 17 - 8);
        precise float inverse = reach * sign_of(end) / largest;
        if (trial >= 34) {
            if (best.x == 0.0) break;
            inverse = 1.0 / best.x;
        }
        const vec2 fit = codes_of_scale(x, inverse, low, high);
        if (fit.y > best.y) best = fit;
        else if (trial >= 34) break;
    }
    return best.x;
}

// (scale, minimum, error less the constant sum x^2): the best for the codes that (x + minimum) * inverse rounds to.
vec3 codes_of_affine(vec4 x[8], float sum_x, float inverse, float minimum, float code_max) {
    precise vec4 l = vec4(0.0), xl = vec4(0.0), ll = vec4(0.0);
    [[unroll]] for (uint i = 0u; i < 8u; ++i) {
        precise const vec4 shifted = (x[i] + minimum) * inverse;
        const vec4 code = nearest_levels(shifted, 0.0, code_max);
        l += code;
        xl += code * x[i];
        ll += code * code;
    }
    precise const float sl = sum_lanes(l), sxl = sum_lanes(xl), sll = sum_lanes(ll);
    precise const float det = 32.0 * sll - sl * sl;
    precise vec2 fit = vec2(0.0);
    if (det > 0.0) {
        fit.x = (32.0 * sxl - sum_x * sl) / det;
        fit.y = (sl * fit.x - sum_x) / 32.0;
    } else {
        fit.y = -sum_x / 32.0;
    }
    precise const float error = fit.x * (fit.x * sll - 2.0 * sxl - 2.0 * fit.y * sl) + fit.y * (fit.y * 32.0 + 2.0 * sum_x);
    return vec3(fit, error);
}

// x ~ scale * code - minimum, code in 0 .. code_max.
vec2 fit_affine(vec4 x[8], float code_max) {
    float lowest = x[0].x, highest = x[0].x;
    precise float sum_x = 0.0;
    [[unroll]] for (uint i = 0u; i < 8u; ++i) {
        [[unroll]] for (uint j = 0u; j < 4u; ++j) {
            lowest = min(lowest, x[i][j]);
            highest = max(highest, x[i][j]);
            sum_x += x[i][j];
        }
    }
    if (!(highest - lowest > 1.0e-14)) return vec2(0.0, -lowest);
    vec3 best = vec3(0.0);
    for (int k = -8; k <= 20; ++k) {  // 25 scales, then four rounds of polishing
        precise float inverse = (code_max + 0.1 * float(k)) / (highest - lowest);
        float minimum = -lowest;
        if (k > 16) {
            if (!(best.x > 0.0)) break;
            inverse = 1.0 / best.x;
            minimum = best.y;
        }
        const vec3 candidate = codes_of_affine(x, sum_x, inverse, minimum, code_max);
        if (candidate.z < best.z && candidate.x >= 0.0) best = candidate;
        else if (k > 16) break;
    }
    return best.xy;
}
