#version 460
#extension GL_GOOGLE_include_directive : require
// math: x[t, h, :] = x[t, h, :] W[g] + shift[g], g = h / heads_per_group.
// shapes: x [n_tokens, n_head * head_dim] f32, in place; w [n_group * head_dim, head_dim] f32; shift [n_group * head_dim] f32.
// layout: offsets in elements, see push/rotate_heads.h; w is dense.
// grid: x: head; y: token. An invocation owns every local-size-th element of the head.
// requires: Vulkan 1.2; head_dim at most 256.
// bound by: latency with few tokens; else reading w, which caches hold.
// source: runtime/ops/ops.h, rotate_heads.
#include "shaders/push/rotate_heads.h"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) buffer X { float x[]; };
layout(binding = 1, std430) readonly buffer W { float w[]; };
layout(binding = 2, std430) readonly buffer Shift { float shift[]; };

shared float head[256];

void main() {
    const uint at = pc.x_at + gl_WorkGroupID.y * pc.x_stride + gl_WorkGroupID.x * pc.head_dim;
    const uint group = gl_WorkGroupID.x / pc.heads_per_group, lane = gl_LocalInvocationID.x;
    for (uint i = lane; i < pc.head_dim; i += gl_WorkGroupSize.x) head[i] = x[at + i];
    barrier();
    for (uint o = lane; o < pc.head_dim; o += gl_WorkGroupSize.x) {
        float sum = pc.has_shift != 0u ? shift[pc.shift_at + group * pc.head_dim + o] : 0.0;
        uint column = pc.w_at + group * pc.head_dim * pc.head_dim + o;
        for (uint i = 0u; i < pc.head_dim; ++i) {
            sum += head[i] * w[column];
            column += pc.head_dim;
        }
        x[at + o] = sum;
    }
}
