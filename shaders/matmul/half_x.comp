#version 460
#extension GL_GOOGLE_include_directive : require
// math: h[t, i] = half(x[t, i] / scale[t]), scale[t] the power of two with 2^14 <= max_i |x[t, i]| / scale[t] < 2^15, so that no activation
//       is too large for a half and those down to 2^-29 of the largest keep 11 bits. Rounds to nearest on every device. Rows of zeros, or
//       with an infinity or NaN in them, have the scale 1.
// shapes: x [n_tokens, n_in] f32; h [n_tokens, n_in] halves with a scale per row.
// layout: see push/half_x.h.
// grid: x: a workgroup owns a token; an invocation strides over runs of 8 columns.
// requires: Vulkan 1.2; a power of two of invocations.
// bound by: memory bandwidth: 4 bytes in, twice (the second time from a cache), 2 bytes out.
// source: runtime/kernels/matmul.cpp.
#include "shaders/push/half_x.h"
#include "common/half.glsl"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) readonly buffer X { float x[]; };
layout(binding = 1, std430) writeonly buffer H { uvec4 h[]; };

shared uint largest[gl_WorkGroupSize.x];  // bits of a magnitude: they order like the magnitudes, NaN above all

uint half_pair(uint row, uint i, float by) {
    const uint low = i < pc.n_in ? half_bits(x[row + i] * by) : 0u;
    const uint high = i + 1u < pc.n_in ? half_bits(x[row + i + 1u] * by) : 0u;
    return low | (high << 16);
}

void main() {
    const uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
    const uint x_row = pc.x_at + gl_WorkGroupID.x * pc.x_stride, h_row = pc.h_at + gl_WorkGroupID.x * pc.h_stride;
    uint mine = 0u;
    for (uint i = lane; i < pc.n_in; i += lanes) mine = max(mine, floatBitsToUint(x[x_row + i]) & 0x7FFFFFFFu);
    largest[lane] = mine;
    for (uint half_lanes = lanes / 2u; half_lanes > 0u; half_lanes /= 2u) {
        barrier();
        if (lane < half_lanes) largest[lane] = max(largest[lane], largest[lane + half_lanes]);
    }
    barrier();
    const uint exponent = largest[0] >> 23;  // 0: zero or subnormal
    const uint scale = largest[0] == 0u || exponent == 255u ? 127u : max(exponent, 15u) - 14u;  // the exponent field of a power of two
    const float by = uintBitsToFloat((254u - scale) << 23);
    const uint units = pc.h_stride - 1u;
    for (uint unit = lane; unit < units; unit += lanes) {
        const uint i = unit * 8u;
        h[h_row + unit] = uvec4(half_pair(x_row, i, by), half_pair(x_row, i + 2u, by), half_pair(x_row, i + 4u, by), half_pair(x_row, i + 6u, by));
    }
    if (lane == 0u) h[h_row + units] = uvec4(scale << 23, 0u, 0u, 0u);
}
