#pragma once
// How far rope rotates each pair of a head per position: everything of RopeParams that does not depend on the position,
// computed once.

#include <cstdint>
#include <vector>

#include "runtime/ops/ops.h"

namespace atlas {

/// [n_rot/2] 64-bit binary fractions of a full rotation per position (before division by `factors`), linear scaling and
/// YaRN's ramp included. As integers they multiply by any position and wrap around without error. Source:
/// arXiv:2104.09864, arXiv:2309.00071 section 3.
std::vector<uint64_t> rope_turns(const RopeParams& params);

/// What sin and cos are multiplied by: attn_factor, and with YaRN its 0.1 ln(s) + 1 (arXiv:2309.00071, section 3.4).
float rope_magnitude(const RopeParams& params);

}  // namespace atlas
