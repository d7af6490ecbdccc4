#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
// math: y[t, o] = sum_i w[o, i] * q(x)[t, i]  (+ b[t, o], or b[0, o], if has_b); q(x) as push/quantize_x.h says. 8-bit products are summed
//       exactly over a run of 32 (or 16), then scaled and summed in f32.
// shapes: w [n_out, n_in] in the WEIGHT format; x [n_tokens, n_in] in 8 bits, y [n_tokens, n_out], b [n_tokens or 1, n_out] f32.
// layout: w offsets in blocks, y and b in elements, see push/matmul.h; x as push/quantize_x.h says.
// grid: x: a workgroup owns local_size / kLanesPerRow rows of w, each shared by kLanesPerRow invocations that stride over runs of 32
//       weights; y: a workgroup owns kTokens tokens (1 .. 24), so that each run is unpacked once for all of them.
// requires: integer dot products; 8- and 16-bit storage, scalar block layout; kLanesPerRow a power of two that divides the local size.
//           kSubgroupSum: subgroup arithmetic, and subgroups of exactly kLanesPerRow invocations. y may be b.
// bound by: memory bandwidth of w (few tokens), dot products and scaling (many).
// source: runtime/ops/ops.h, matmul and matmul_add.
#include "common/types.glsl"
#include "common/dot.glsl"
#include "shaders/push/matmul.h"
#define W_BLOCK(ib) w[ib]
#define FORMAT_STRUCT
#include "weight_format.glsl"
#undef FORMAT_STRUCT

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kLanesPerRow = 1;
layout(constant_id = 2) const uint kTokens = 1;
layout(constant_id = 3) const uint kSubgroupSum = 0;

layout(binding = 0, scalar) readonly buffer W { Block w[]; };
layout(binding = 1, std430) readonly buffer XCodes { uvec4 x_codes[]; };   // two per run
layout(binding = 1, std430) readonly buffer XScales { uvec2 x_scales[]; };  // from pc.x_at on
layout(binding = 2, std430) readonly buffer B { float b[]; };
layout(binding = 3, std430) writeonly buffer Y { float y[]; };

#define FORMAT_FUNCTIONS
#include "weight_format.glsl"
#include "weight_dot.glsl"

const uint kPartials = kSubgroupSum == 0 && kLanesPerRow > 1 ? kTokens * gl_WorkGroupSize.x : 1;
shared float partial[kPartials];

void add_run(uint w_row, uint run, uint x_row[kTokens], inout float sum[kTokens]) {
    const uint i = run * 32;
    uint codes[8];
    vec2 scale, low;
    dot32(w_row + i / kBlockElems, i % kBlockElems, codes, scale, low);
    const uvec4 w0 = uvec4(codes[0], codes[1], codes[2], codes[3]), w1 = uvec4(codes[4], codes[5], codes[6], codes[7]);
    [[unroll]] for (uint t = 0; t < kTokens; ++t) {
        const uint at = x_row[t] + run;
        const int first = dot16(w0, x_codes[2 * at]), second = dot16(w1, x_codes[2 * at + 1]);
        const uvec2 x_scale = x_scales[pc.x_at + at];
        const vec2 x_sums = vec2(bitfieldExtract(int(x_scale.y), 0, 16), int(x_scale.y) >> 16);
        float v = kDotScales == 1 ? scale.x * float(first + second) : dot(scale, vec2(first, second));
        if (kDotHasLow) v += kDotScales == 1 ? low.x * (x_sums.x + x_sums.y) : dot(low, x_sums);
        sum[t] += uintBitsToFloat(x_scale.x) * v;
    }
}

// The sums of the invocations of a row, in its first one.
void add_lanes(uint lane, inout float sum[kTokens]) {
    if (kLanesPerRow == 1) return;
    if (kSubgroupSum != 0) {
        [[unroll]] for (uint t = 0; t < kTokens; ++t) sum[t] = subgroupAdd(sum[t]);
        return;
    }
    [[unroll]] for (uint t = 0; t < kTokens; ++t) partial[t * gl_WorkGroupSize.x + gl_LocalInvocationID.x] = sum[t];
    for (uint half_lanes = kLanesPerRow / 2; half_lanes > 0; half_lanes /= 2) {
        barrier();
        if (lane < half_lanes) {
            for (uint t = 0; t < kTokens; ++t) {
                const uint at = t * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
                partial[at] += partial[at + half_lanes];
            }
        }
    }
    if (lane == 0) {
        [[unroll]] for (uint t = 0; t < kTokens; ++t) sum[t] = partial[t * gl_WorkGroupSize.x + gl_LocalInvocationID.x];
    }
}

void main() {
    // With subgroup sums the lanes are numbered by the subgroup's own count: nothing promises that they follow the local index.
    const uint lane = kSubgroupSum != 0 ? gl_SubgroupInvocationID : gl_LocalInvocationID.x % kLanesPerRow;
    const uint row_in_group = kSubgroupSum != 0 ? gl_SubgroupID : gl_LocalInvocationID.x / kLanesPerRow;
    const uint row = gl_WorkGroupID.x * (gl_WorkGroupSize.x / kLanesPerRow) + row_in_group;
    const uint w_row = pc.w_at_blocks + min(row, pc.n_out - 1) * pc.w_stride_blocks;
    const uint first_token = gl_WorkGroupID.y * kTokens;

    // Tokens past the end repeat the last one; their sums are never written.
    uint x_row[kTokens];
    float sum[kTokens];
    [[unroll]] for (uint t = 0; t < kTokens; ++t) {
        x_row[t] = min(first_token + t, pc.n_tokens - 1) * pc.x_stride;
        sum[t] = 0.0;
    }
    const uint n_runs = pc.n_in / 32;
    for (uint run = lane; run < n_runs; run += kLanesPerRow) add_run(w_row, run, x_row, sum);
    add_lanes(lane, sum);

    if (row >= pc.n_out || lane != 0) return;
    [[unroll]] for (uint t = 0; t < kTokens; ++t) {
        const uint token = first_token + t;
        if (token < pc.n_tokens) {
            float result = sum[t];
            if (pc.has_b != 0) result += b[pc.b_at + token * pc.b_stride + row];
            y[pc.y_at + token * pc.y_stride + row] = result;
        }
    }
}
