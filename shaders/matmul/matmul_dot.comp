#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// math: y[t, o] = sum_i w[o, i] * q(x)[t, i]  (+ b[t, o], or b[0, o], if has_b); q(x) as push/quantize_x.h says. 8-bit products are summed
//       exactly over a run of 32 (or 16), then scaled and summed in f32.
// shapes: w [n_out, n_in] in the WEIGHT format; x [n_tokens, n_in] in 8 bits, y [n_tokens, n_out], b [n_tokens or 1, n_out] f32.
// layout: w offsets in blocks, y and b in elements, see push/matmul.h; x as push/quantize_x.h says.
// grid: a workgroup owns a tile of kTileOut outputs (x) by kTileTokens tokens (y) and walks n_in in steps of kRuns runs of 32; a step's
//       weights (unpacked once per tile) and activations lie in shared memory as bytes, with their scales as floats beside them; an
//       invocation owns kOut x kTok sums, spread over the tile so that neighbours read neighbouring rows.
// requires: integer dot products; 8- and 16-bit storage, scalar block layout; (kTileOut / kOut) * (kTileTokens / kTok) invocations;
//           shared memory as select_dot.cpp counts it. y may be b.
// bound by: dot products, and reading them from shared memory.
// source: runtime/ops/ops.h, matmul and matmul_add.
#include "common/types.glsl"
#include "common/dot.glsl"
#include "shaders/push/matmul.h"
#define W_BLOCK(ib) w[ib]
#define FORMAT_STRUCT
#include "weight_format.glsl"
#undef FORMAT_STRUCT

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kTileOut = 64;
layout(constant_id = 2) const uint kTileTokens = 32;
layout(constant_id = 3) const uint kOut = 4;
layout(constant_id = 4) const uint kTok = 4;
layout(constant_id = 5) const uint kRuns = 1;

layout(binding = 0, scalar) readonly buffer W { Block w[]; };
layout(binding = 1, std430) readonly buffer XCodes { uvec4 x_codes[]; };   // two per run
layout(binding = 1, std430) readonly buffer XScales { uvec2 x_scales[]; };  // from pc.x_at on
layout(binding = 2, std430) readonly buffer B { float b[]; };
layout(binding = 3, std430) writeonly buffer Y { float y[]; };

#define FORMAT_FUNCTIONS
#include "weight_format.glsl"
#include "weight_dot.glsl"

// Codes: a row's step is 2 * kRuns units of 16 bytes, and one more, which spreads a column over the banks. Scales: runs outermost.
const uint kSums = kOut * kTok;
const uint kPitch = 2 * kRuns + 1;
shared uvec4 w_tile[kTileOut * kPitch];
shared uvec4 x_tile[kTileTokens * kPitch];
#include "matmul/q8_scales.glsl"

void load_w(uint first_out, uint first_run, uint n_runs) {
    for (uint unit = gl_LocalInvocationID.x; unit < kTileOut * kRuns; unit += gl_WorkGroupSize.x) {
        const uint row = unit / kRuns, r = unit % kRuns, run = min(first_run + r, n_runs - 1);
        uint codes[8];
        vec2 scale, low;
        const uint w_row = pc.w_at_blocks + min(first_out + row, pc.n_out - 1) * pc.w_stride_blocks;
        dot32(w_row + run * 32 / kBlockElems, run * 32 % kBlockElems, codes, scale, low);
        w_tile[row * kPitch + 2 * r] = uvec4(codes[0], codes[1], codes[2], codes[3]);
        w_tile[row * kPitch + 2 * r + 1] = uvec4(codes[4], codes[5], codes[6], codes[7]);
        store_w_scales(r, row, scale, low);
    }
}

void load_x(uint first_token, uint first_run, uint n_runs) {
    for (uint unit = gl_LocalInvocationID.x; unit < kTileTokens * kRuns * 2; unit += gl_WorkGroupSize.x) {
        const uint t = unit / (2 * kRuns), r = unit % (2 * kRuns);
        const uint row = min(first_token + t, pc.n_tokens - 1) * pc.x_stride;
        x_tile[t * kPitch + r] = x_codes[2 * (row + min(first_run + r / 2, n_runs - 1)) + r % 2];
    }
    load_x_scales(first_token, first_run, n_runs);
}

// An invocation's rows of w are lane_out, lane_out + lanes_out, ...; its tokens are spread in the same way.
void multiply_run(uint r, uint lane_out, uint lanes_out, uint lane_tok, uint lanes_tok, inout float sum[kSums]) {
    uvec4 w0[kOut], w1[kOut];
    vec2 scale[kOut], low[kOut];
    [[unroll]] for (uint o = 0; o < kOut; ++o) {
        const uint row = lane_out + o * lanes_out;
        w0[o] = w_tile[row * kPitch + 2 * r];
        w1[o] = w_tile[row * kPitch + 2 * r + 1];
        [[unroll]] for (uint s = 0; s < kDotScales; ++s) {
            scale[o][s] = w_scale[(r * kDotScales + s) * kTileOut + row];
            if (kDotHasLow) low[o][s] = w_low[(r * kDotScales + s) * kTileOut + row];
        }
    }
    [[unroll]] for (uint t = 0; t < kTok; ++t) {
        const uint token = lane_tok + t * lanes_tok;
        const uvec4 x0 = x_tile[token * kPitch + 2 * r], x1 = x_tile[token * kPitch + 2 * r + 1];
        const float x_s = x_scale[r * kTileTokens + token];
        [[unroll]] for (uint o = 0; o < kOut; ++o) {
            const int first = dot16(w0[o], x0), second = dot16(w1[o], x1);
            const float v = kDotScales == 1 ? scale[o].x * float(first + second) : scale[o].x * float(first) + scale[o].y * float(second);
            float more = x_s * v;
            if (kDotHasLow) {
                [[unroll]] for (uint s = 0; s < kDotScales; ++s) more += low[o][s] * x_sum[(r * kDotScales + s) * kTileTokens + token];
            }
            sum[t * kOut + o] += more;
        }
    }
}

void main() {
    const uint first_out = gl_WorkGroupID.x * kTileOut, first_token = gl_WorkGroupID.y * kTileTokens;
    const uint lanes_out = kTileOut / kOut, lanes_tok = kTileTokens / kTok;
    const uint lane_out = gl_LocalInvocationID.x % lanes_out, lane_tok = gl_LocalInvocationID.x / lanes_out;
    float sum[kSums];
    [[unroll]] for (uint s = 0; s < kSums; ++s) sum[s] = 0.0;

    const uint n_runs = pc.n_in / 32;
    for (uint run = 0; run < n_runs; run += kRuns) {
        barrier();
        load_w(first_out, run, n_runs);
        load_x(first_token, run, n_runs);
        barrier();
        for (uint r = 0; r < kRuns; ++r) multiply_run(r, lane_out, lanes_out, lane_tok, lanes_tok, sum);
    }

    [[unroll]] for (uint t = 0; t < kTok; ++t) {
        const uint token = first_token + lane_tok + t * lanes_tok;
        if (token >= pc.n_tokens) continue;
        [[unroll]] for (uint o = 0; o < kOut; ++o) {
            const uint row = first_out + lane_out + o * lanes_out;
            if (row >= pc.n_out) continue;
            float result = sum[t * kOut + o];
            if (pc.has_b != 0) result += b[pc.b_at + token * pc.b_stride + row];
            y[pc.y_at + token * pc.y_stride + row] = result;
        }
    }
}
