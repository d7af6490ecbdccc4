#version 460
#extension GL_GOOGLE_include_directive : require
// math: y[t, o] = sum_i w[o, i] * x[t, i]  (+ b[t, o], or b[0, o], if has_b).
// shapes: w [n_out, n_in] in the WEIGHT format; x [n_tokens, n_in], y [n_tokens, n_out], b [n_tokens or 1, n_out] f32.
// layout: w offsets in blocks, others in elements, see push/matmul.h.
// grid: x: a workgroup owns local_size / kLanesPerRow rows of w, each shared by kLanesPerRow invocations that stride over runs of 32
//       weights; y: a workgroup owns kTokens tokens, so that each run is unpacked once for all of them.
// requires: Vulkan 1.2 with 8- and 16-bit storage and scalar block layout; kLanesPerRow a power of two that divides the local size.
//           y may be b. Rows of block formats are whole multiples of 32.
// bound by: memory bandwidth of w on a GPU; unpacking on a CPU device.
// source: runtime/ops/ops.h, matmul and matmul_add.
#include "common/types.glsl"
#include "shaders/push/matmul.h"
#define W_BLOCK(ib) w[ib]
#define FORMAT_STRUCT
#include "weight_format.glsl"
#undef FORMAT_STRUCT

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kLanesPerRow = 1;
layout(constant_id = 2) const uint kTokens = 1;

layout(binding = 0, scalar) readonly buffer W { Block w[]; };
layout(binding = 1, std430) readonly buffer X { float x[]; };
layout(binding = 2, std430) readonly buffer B { float b[]; };
layout(binding = 3, std430) writeonly buffer Y { float y[]; };

#define FORMAT_FUNCTIONS
#include "weight_format.glsl"

shared float partial[kTokens * gl_WorkGroupSize.x];

void main() {
    const uint lane = gl_LocalInvocationID.x % kLanesPerRow;
    const uint rows = gl_WorkGroupSize.x / kLanesPerRow;
    const uint row = gl_WorkGroupID.x * rows + gl_LocalInvocationID.x / kLanesPerRow;
    const uint w_row = pc.w_at_blocks + min(row, pc.n_out - 1) * pc.w_stride_blocks;
    const uint first_token = gl_WorkGroupID.y * kTokens;

    // Tokens past the end repeat the last one; their sums are never written.
    uint x_row[kTokens];
    vec4 sum[kTokens];
    for (uint t = 0; t < kTokens; ++t) {
        x_row[t] = pc.x_at + min(first_token + t, pc.n_tokens - 1) * pc.x_stride;
        sum[t] = vec4(0.0);
    }

    const uint n_runs = pc.n_in / 32;
    for (uint run = lane; run < n_runs; run += kLanesPerRow) {
        const uint i = run * 32;
        vec4 v[8];
        dequant32(w_row + i / kBlockElems, i % kBlockElems, v);
        for (uint t = 0; t < kTokens; ++t) {
            const uint at = x_row[t] + i;
            for (uint j = 0; j < 8; ++j) {
                sum[t] += v[j] * vec4(x[at + 4 * j], x[at + 4 * j + 1], x[at + 4 * j + 2], x[at + 4 * j + 3]);
            }
        }
    }
    if (kBlockElems == 1) {
        for (uint i = n_runs * 32 + lane; i < pc.n_in; i += kLanesPerRow) {
            const float v = dequant(w_row + i, 0);
            for (uint t = 0; t < kTokens; ++t) sum[t].x += v * x[x_row[t] + i];
        }
    }

    if (kLanesPerRow > 1) {
        for (uint t = 0; t < kTokens; ++t) partial[t * gl_WorkGroupSize.x + gl_LocalInvocationID.x] = dot(sum[t], vec4(1.0));
        for (uint half_lanes = kLanesPerRow / 2; half_lanes > 0; half_lanes /= 2) {
            barrier();
            if (lane < half_lanes) {
                for (uint t = 0; t < kTokens; ++t) {
                    const uint at = t * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
                    partial[at] += partial[at + half_lanes];
                }
            }
        }
    }
    if (row >= pc.n_out || lane != 0) return;
    for (uint t = 0; t < kTokens && first_token + t < pc.n_tokens; ++t) {
        float result = kLanesPerRow > 1 ? partial[t * gl_WorkGroupSize.x + gl_LocalInvocationID.x] : dot(sum[t], vec4(1.0));
        if (pc.has_b != 0) result += b[pc.b_at + (first_token + t) * pc.b_stride + row];
        y[pc.y_at + (first_token + t) * pc.y_stride + row] = result;
    }
}
