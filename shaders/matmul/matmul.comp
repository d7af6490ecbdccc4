#version 460
#extension GL_GOOGLE_include_directive : require
// math: y[t, o] = sum_i w[o, i] * x[t, i]  (+ b[t, o], or b[0, o], if has_b).
//       EXPERTS: products of experts, see experts/columns.glsl; of two matrices each has half of the tile's rows. No splits.
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
#ifdef EXPERTS
#include "shaders/push/experts.h"
#else
#include "shaders/push/matmul.h"
#endif
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

#ifdef EXPERTS
#define EXPERTS_ID 5
#include "shaders/experts/columns.glsl"
#define N_COLUMNS n_columns
#else
#define N_COLUMNS pc.n_tokens
uint x_row_at(uint token) { return pc.x_at + token * pc.x_stride; }
uint w_row_at(uint row, bool) { return pc.w_at_blocks + row * pc.w_stride_blocks; }
const uint kGated = 0;
#endif
const uint kMatrices = kGated != 0 ? 2 : 1, kOwnRows = kTileOut / kMatrices;

const uint kStep = 32;
const uint kPitch = kStep + 1;  // an odd pitch spreads a column over the banks
shared float w_tile[kTileOut * kPitch];
shared float x_tile[kTileTokens * kPitch];

// Four weights of the row that begins with block row_at from column i on; zeros past the end of the row.
vec4 load_w(uint row_at, uint i) {
    const uint ib = row_at + i / kBlockElems;
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
        const bool up = kMatrices > 1 && row >= kOwnRows;
        const vec4 v = load_w(w_row_at(min(first_out + row - (up ? kOwnRows : 0), pc.n_out - 1), up), step_at + i);
        for (uint j = 0; j < 4; ++j) w_tile[row * kPitch + i + j] = v[j];
    }
    for (uint unit = lane; unit < kTileTokens * kStep; unit += lanes) {
        const uint t = unit / kStep, i = unit % kStep;
        const uint token = min(first_token + t, N_COLUMNS - 1);
        x_tile[t * kPitch + i] = step_at + i < pc.n_in ? x[x_row_at(token) + step_at + i] : 0.0;
    }
}

void multiply(uint first_token, uint first_column, uint end) {
    const uint first_out = gl_WorkGroupID.x * kOwnRows;
    const uint lanes_out = kTileOut / kOut, lanes_tok = kTileTokens / kTok;
    const uint lane_out = gl_LocalInvocationID.x % lanes_out, lane_tok = gl_LocalInvocationID.x / lanes_out;

    float sum[kOut * kTok];
    for (uint s = 0; s < kOut * kTok; ++s) sum[s] = 0.0;

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
        if (token >= N_COLUMNS) break;
        for (uint o = 0; o < kOut / kMatrices; ++o) {
            const uint row = first_out + lane_out + o * lanes_out;
            if (row >= pc.n_out) break;
#ifdef EXPERTS
            store_expert(token, row, sum[t * kOut + o], sum[t * kOut + (o + kOut / 2) % kOut]);
#else
            float result = sum[t * kOut + o];
            if (pc.has_b != 0) result += b[pc.b_at + token * pc.b_stride + row];
            y[pc.y_at + (gl_WorkGroupID.z * pc.n_tokens + token) * pc.y_stride + row] = result;
#endif
        }
    }
}

void main() {
#ifdef EXPERTS
    if (!find_columns()) return;
    for (uint first = 0; first < n_columns; first += kTileTokens) multiply(first, 0, pc.n_in);
#else
    const uint first_column = gl_WorkGroupID.z * pc.split_columns;
    multiply(gl_WorkGroupID.y * kTileTokens, first_column, min(first_column + pc.split_columns, pc.n_in));
#endif
}
