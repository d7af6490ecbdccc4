#version 460
#extension GL_GOOGLE_include_directive : require
// math: y[t, o] = sum_i w[o, i] * x[t, i]  (+ b[t, o], or b[0, o], if has_b).
// shapes: w [n_out, n_in] in the WEIGHT format; x [n_tokens, n_in], y [n_tokens, n_out], b [n_tokens or 1, n_out] f32.
// layout: w offsets in blocks, others in elements, see push/matmul.h.
// grid: a workgroup owns a tile of kTileOut outputs (x) by kTileTokens tokens (y) of a split of the columns (z) and walks it in steps of
//       32; both operands' steps are put in shared memory as f32 (each weight unpacked once per tile); an invocation owns kOut x kTok
//       sums, spread over the tile so that neighbours read neighbouring words.
// requires: Vulkan 1.2 with 8- and 16-bit storage and scalar block layout; (kTileOut / kOut) * (kTileTokens / kTok) invocations;
//           (kTileOut + kTileTokens) * 132 bytes of shared memory. y may be b.
// bound by: shared memory bandwidth and f32 multiply-adds.
// source: runtime/ops/ops.h, matmul and matmul_add.
#include "common/types.glsl"
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

layout(binding = 0, scalar) readonly buffer W { Block w[]; };
layout(binding = 1, std430) readonly buffer X { float x[]; };
layout(binding = 2, std430) readonly buffer B { float b[]; };
layout(binding = 3, std430) writeonly buffer Y { float y[]; };

#define FORMAT_FUNCTIONS
#include "weight_format.glsl"

const uint kStep = 32;
const uint kPitch = kStep + 1;  // an odd pitch spreads a column over the banks
shared float w_tile[kTileOut * kPitch];
shared float x_tile[kTileTokens * kPitch];

// Four weights of a row from column i on; zeros past the end of the row.
vec4 load_w(uint row, uint i) {
    const uint ib = pc.w_at_blocks + row * pc.w_stride_blocks + i / kBlockElems;
    if (i + 4 <= pc.n_in) return dequant4(ib, i % kBlockElems);
    vec4 v = vec4(0.0);
    if (kBlockElems == 1) {
        for (uint j = 0; i + j < pc.n_in; ++j) v[j] = dequant(ib + j, 0);
    }
    return v;
}

void load_tiles(uint first_out, uint first_token, uint step_at) {
    const uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
    for (uint unit = lane; unit < kTileOut * (kStep / 4); unit += lanes) {
        const uint row = unit / (kStep / 4), i = unit % (kStep / 4) * 4;
        const vec4 v = load_w(min(first_out + row, pc.n_out - 1), step_at + i);
        for (uint j = 0; j < 4; ++j) w_tile[row * kPitch + i + j] = v[j];
    }
    for (uint unit = lane; unit < kTileTokens * kStep; unit += lanes) {
        const uint t = unit / kStep, i = unit % kStep;
        const uint token = min(first_token + t, pc.n_tokens - 1);
        x_tile[t * kPitch + i] = step_at + i < pc.n_in ? x[pc.x_at + token * pc.x_stride + step_at + i] : 0.0;
    }
}

void main() {
    const uint first_out = gl_WorkGroupID.x * kTileOut, first_token = gl_WorkGroupID.y * kTileTokens;
    const uint lanes_out = kTileOut / kOut, lanes_tok = kTileTokens / kTok;
    const uint lane_out = gl_LocalInvocationID.x % lanes_out, lane_tok = gl_LocalInvocationID.x / lanes_out;

    float sum[kOut * kTok];
    for (uint s = 0; s < kOut * kTok; ++s) sum[s] = 0.0;

    const uint first_column = gl_WorkGroupID.z * pc.split_columns, end = min(first_column + pc.split_columns, pc.n_in);
    for (uint step_at = first_column; step_at < end; step_at += kStep) {
        barrier();
        load_tiles(first_out, first_token, step_at);
        barrier();
        for (uint i = 0; i < kStep; ++i) {
            float wv[kOut];
            for (uint o = 0; o < kOut; ++o) wv[o] = w_tile[(lane_out + o * lanes_out) * kPitch + i];
            for (uint t = 0; t < kTok; ++t) {
                const float xv = x_tile[(lane_tok + t * lanes_tok) * kPitch + i];
                for (uint o = 0; o < kOut; ++o) sum[t * kOut + o] += wv[o] * xv;
            }
        }
    }

    for (uint t = 0; t < kTok; ++t) {
        const uint token = first_token + lane_tok + t * lanes_tok;
        if (token >= pc.n_tokens) break;
        for (uint o = 0; o < kOut; ++o) {
            const uint row = first_out + lane_out + o * lanes_out;
            if (row >= pc.n_out) break;
            float result = sum[t * kOut + o];
            if (pc.has_b != 0) result += b[pc.b_at + token * pc.b_stride + row];
            y[pc.y_at + (gl_WorkGroupID.z * pc.n_tokens + token) * pc.y_stride + row] = result;
        }
    }
}
