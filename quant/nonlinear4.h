#pragma once
// The 16 levels that the codes of iq4_nl and iq4_xs stand for: denser around zero, as weights are.

#include <array>
#include <cstdint>

namespace atlas {

inline constexpr std::array<int8_t, 16> kNonlinear4 = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                       1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace atlas
