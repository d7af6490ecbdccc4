#pragma once

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

}  // namespace atlas
