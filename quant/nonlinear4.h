#pragma once
// The 16 levels that the codes of iq4_nl and iq4_xs stand for: denser around zero, as weights are.

#include <array>
#include <cstddef>
#include <cstdint>

namespace atlas {

inline constexpr std::array<int8_t, 16> kNonlinear4 = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                       1,    13,   25,  38,  53,  69,  89,  113};

/// The code of the level nearest to `value`.
inline int nonlinear4_code(float value) {
    int code = 0;
    for (size_t at = 0; at < 15; ++at)
        code += value > 0.5f * static_cast<float>(kNonlinear4[at] + kNonlinear4[at + 1]) ? 1 : 0;
    return code;
}

/// The levels in the form that quant/fit.h searches.
struct Nonlinear4Levels {
    float low = -127;
    float high = 113;
    float nearest(float value) const { return kNonlinear4[static_cast<size_t>(nonlinear4_code(value))]; }
};

}  // namespace atlas
