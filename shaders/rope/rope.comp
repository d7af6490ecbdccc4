#version 460
#extension GL_GOOGLE_include_directive : require
// math: (x0, x1) <- magnitude * (x0 cos a - x1 sin a, x0 sin a + x1 cos a), a = position * turns_i / factor_i, for
//       every pair i of every head.
// shapes: x [n_tokens, n_head * head_dim] f32, in place; positions [n_tokens] u32; turns [n_pairs] 64-bit fractions of
//         a full rotation per position (kernels/rope_table.h: theta^(-2i/n_rot), scaling and YaRN); factors [n_pairs]
//         f32.
// layout: offsets in elements (turns: uvec2), see push/rope.h. Elements past n_rot of a head stay as they are.
// grid: x covers pairs of all heads, an invocation owns one; y is the token.
// requires: Vulkan 1.2, nothing else.
// bound by: memory bandwidth (16 bytes a pair).
// source: RoFormer, arXiv:2104.09864; YaRN, arXiv:2309.00071.
#include "common/turns.glsl"
#include "shaders/push/rope.h"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) buffer X { float x[]; };
layout(binding = 1, std430) readonly buffer Positions { uint positions[]; };
layout(binding = 2, std430) readonly buffer Turns { uvec2 turns[]; };
layout(binding = 3, std430) readonly buffer Factors { float factors[]; };

#include "rope/angle.glsl"

void main() {
    const uint head = gl_GlobalInvocationID.x / pc.n_pairs, pair = gl_GlobalInvocationID.x % pc.n_pairs;
    const uint token = gl_WorkGroupID.y;
    if (head >= pc.n_head) return;

    const vec2 cs = cos_sin_of(token, pair);
    const uint first = pc.x_at + token * pc.x_stride + head * pc.head_dim + pair * pc.pair_stride;
    const uint second = first + pc.pair_distance;
    const float x0 = x[first], x1 = x[second];
    x[first] = x0 * cs.x - x1 * cs.y;
    x[second] = x0 * cs.y + x1 * cs.x;
}
