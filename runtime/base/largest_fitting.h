#pragma once

#include <algorithm>
#include <cstdint>

namespace atlas {

/// The largest n of low .. high with fits(n), where every smaller number fits too; fits(low) is assumed and not called.
/// Calls fits log2(high - low) times.
template <class Fits>
uint32_t largest_fitting(uint32_t low, uint32_t high, Fits&& fits) {
    while (low < high) {
        const uint32_t middle = high - (high - low) / 2;
        if (fits(middle))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/// The same number, searched for from an estimate on: calls fits about 2 log2(error of the estimate) times.
template <class Fits>
uint32_t largest_fitting_near(uint32_t estimate, uint32_t low, uint32_t high, Fits&& fits) {
    estimate = std::clamp(estimate, low, high);
    const bool upwards = estimate == low || fits(estimate);
    (upwards ? low : high) = upwards ? estimate : estimate - 1;
    for (uint32_t step = 1; low < high; step *= 2) {
        const uint32_t next = upwards ? low + std::min(step, high - low) : high - std::min(step - 1, high - low - 1);
        const bool does = fits(next);
        (does ? low : high) = does ? next : next - 1;
        if (does != upwards) break;  // it is between low and high
    }
    return largest_fitting(low, high, fits);
}

}  // namespace atlas
