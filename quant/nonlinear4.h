#pragma once
// The 16 levels that the codes of iq4_nl and iq4_xs stand for: denser around zero, as weights are.

#include <array>
#include <cstddef>
#include <cstdint>

#include "quant/lanes.h"

namespace atlas {

inline constexpr std::array<int8_t, 16> kNonlinear4 = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                       1,    13,   25,  38,  53,  69,  89,  113};

/// Code of the nearest level to every half step of -127..113: all midpoints between levels are whole or half numbers,
/// so the half step above a value decides.
inline constexpr auto kNonlinear4CodeOfHalfStep = [] {
    std::array<uint8_t, 481> codes{};
    for (int step = 0; step < 481; ++step) {
        const int twice = step - 254;
        while (codes[static_cast<size_t>(step)] < 15) {
            const size_t code = codes[static_cast<size_t>(step)];
            if (twice <= kNonlinear4[code] + kNonlinear4[code + 1]) break;
            ++codes[static_cast<size_t>(step)];
        }
    }
    return codes;
}();

/// The code of the level nearest to `value`.
inline int nonlinear4_code(float value) {
    const float twice = 2 * clamp_number(value, -127, 113);
    const int half_step_above = 512 - static_cast<int>(512 - twice);
    return kNonlinear4CodeOfHalfStep[static_cast<size_t>(half_step_above + 254)];
}

/// The levels in the form that quant/fit.h searches.
struct Nonlinear4Levels {
    float low = -127;
    float high = 113;
    float nearest(float value) const { return kNonlinear4[static_cast<size_t>(nonlinear4_code(value))]; }
    Float4 nearest(Float4 value) const {
        return Float4{nearest(value[0]), nearest(value[1]), nearest(value[2]), nearest(value[3])};
    }
};

}  // namespace atlas
