#version 460
#extension GL_GOOGLE_include_directive : require
// math: y[t, o] = sum_s part[s, t, o]  (+ b[t, o], or b[0, o], if has_b), in the order of s.
// shapes: part [n_splits, n_tokens, n_out], y [n_tokens, n_out], b [n_tokens or 1, n_out] f32.
// layout: in elements, see push/sum_splits.h.
// grid: x, y: an invocation owns one output of the token gl_WorkGroupID.y.
// requires: Vulkan 1.2. y may be b.
// bound by: memory bandwidth, mostly a cache's: the partial sums were just written.
// source: runtime/kernels/ops/matmul.cpp, split_k of MatmulVariant.
#include "shaders/push/sum_splits.h"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) readonly buffer Part { float part[]; };
layout(binding = 1, std430) readonly buffer B { float b[]; };
layout(binding = 2, std430) writeonly buffer Y { float y[]; };

void main() {
    const uint o = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
    if (o >= pc.n_out) return;
    float sum = 0.0;
    for (uint s = 0; s < pc.n_splits; ++s) sum += part[pc.part_at + (s * pc.n_tokens + t) * pc.n_out + o];
    if (pc.has_b != 0) sum += b[pc.b_at + t * pc.b_stride + o];
    y[pc.y_at + t * pc.y_stride + o] = sum;
}
