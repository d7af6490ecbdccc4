#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_EXT_control_flow_attributes : require
// math: y[t, o] = sum_i w[o, i] * x[t, i]  (+ b[t, o], or b[0, o], if has_b).
//       EXPERTS: products of experts, see experts/columns.glsl; at most kTokens columns at a time.
// shapes: w [n_out, n_in] in the WEIGHT format; x [n_tokens, n_in], y [n_tokens, n_out], b [n_tokens or 1, n_out] f32.
// layout: w offsets in blocks, others in elements, see push/matmul.h.
// grid: x: an invocation owns kRows rows of w, a local size apart; y: a workgroup owns kTokens tokens. A subgroup reads kSubgroup activations
//       with one load, one per invocation, and broadcasts them: for devices (CPUs) where a load costs many times a multiply-add.
// requires: as matvec.comp, and subgroup broadcast and sums with subgroups of exactly kSubgroup (4, 8 or 16), which divides the local size.
// bound by: unpacking w (one token), multiply-adds (several).
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
layout(constant_id = 1) const uint kSubgroup = 8;
layout(constant_id = 2) const uint kTokens = 1;
layout(constant_id = 3) const uint kRows = 1;
// elements of a row per iteration of the loop: 32, or as many 32s as divide a block
layout(constant_id = 4) const uint kChunk = 32;

layout(binding = 0, scalar) restrict readonly buffer W { Block w[]; };
layout(binding = 1, std430) restrict readonly buffer X { float x[]; };
layout(binding = 2, std430) readonly buffer B { float b[]; };
layout(binding = 3, std430) restrict writeonly buffer Y { float y[]; };

#define FORMAT_FUNCTIONS
#include "weight_format.glsl"

#ifdef EXPERTS
#define EXPERTS_ID 5
#include "shaders/experts/columns.glsl"
#define N_COLUMNS n_columns
#define HAS_COLUMN(t) (kTokens == 1 || first_token + t < n_columns)
#else
#define N_COLUMNS pc.n_tokens
#define HAS_COLUMN(t) true
uint x_row_at(uint token) { return pc.x_at + token * pc.x_stride; }
#endif

// Formats without codes32 give the elements themselves.
#ifndef HAS_CODES32
const uint kRunElems = 32;
void codes32(uint ib, uint i, out vec4 codes[8], out vec2 s[1]) { dequant32(ib, i, codes); }
#endif
const uint kRuns = 32 / kRunElems;

// sum[r] += the products of 32 elements of each row with x[x_at ... x_at + 32]. The products of a run are added up apart: scale and minimum
// are applied once, and a chain of additions through the whole row would keep the processor from reading ahead.
void add_products(const vec4 codes[kRows][8], const vec2 s[kRows][kRuns], uint x_at, inout float sum[kRows]) {
    [[unroll]] for (uint run = 0; run < kRuns; ++run) {
        float products[kRows], x_sum = 0.0;
        [[unroll]] for (uint r = 0; r < kRows; ++r) products[r] = 0.0;
        [[unroll]] for (uint k = 0; k < kRunElems; k += kSubgroup) {
            const uint first = run * kRunElems + k;
            const float mine = x[x_at + first + gl_SubgroupInvocationID];
            x_sum += mine;
            [[unroll]] for (uint l = 0; l < kSubgroup; ++l) {
                const float x_value = subgroupBroadcast(mine, l);
                const uint i = first + l;
                [[unroll]] for (uint r = 0; r < kRows; ++r) products[r] = fma(codes[r][i / 4][i % 4], x_value, products[r]);
            }
        }
#ifdef HAS_CODES32
        x_sum = subgroupAdd(x_sum);
        [[unroll]] for (uint r = 0; r < kRows; ++r) sum[r] = fma(products[r], s[r][run].x, fma(-x_sum, s[r][run].y, sum[r]));
#else
        [[unroll]] for (uint r = 0; r < kRows; ++r) sum[r] += products[r];
#endif
    }
}

// Columns first_token .. first_token + kTokens of the workgroup's rows.
void multiply(uint first_token) {
#ifdef EXPERTS
    const uint own_rows = kGated != 0 ? kRows / 2 : kRows;
#else
    const uint own_rows = kRows;
#endif
    const uint first_row = gl_WorkGroupID.x * gl_WorkGroupSize.x * own_rows + gl_LocalInvocationID.x;

    // Rows and tokens past the end repeat the last one; their sums are never written.
    uint w_row[kRows], x_row[kTokens];
    float sum[kTokens][kRows];
    [[unroll]] for (uint r = 0; r < kRows; ++r) {
        const uint row = min(first_row + r % own_rows * gl_WorkGroupSize.x, pc.n_out - 1);
#ifdef EXPERTS
        w_row[r] = w_row_at(row, r >= own_rows);
#else
        w_row[r] = pc.w_at_blocks + row * pc.w_stride_blocks;
#endif
    }
    [[unroll]] for (uint t = 0; t < kTokens; ++t) {
        x_row[t] = x_row_at(min(first_token + t, N_COLUMNS - 1));
        [[unroll]] for (uint r = 0; r < kRows; ++r) sum[t][r] = 0.0;
    }

    const uint whole = pc.n_in / 32 * 32;
    for (uint at = 0; at < whole; at += kChunk) {
        [[unroll]] for (uint part = 0; part < kChunk; part += 32) {
            vec4 codes[kRows][8];
            vec2 s[kRows][kRuns];
            [[unroll]] for (uint r = 0; r < kRows; ++r) codes32(w_row[r] + at / kBlockElems, at % kBlockElems + part, codes[r], s[r]);
            [[unroll]] for (uint t = 0; t < kTokens; ++t) {
                if (HAS_COLUMN(t)) add_products(codes, s, x_row[t] + at + part, sum[t]);
            }
        }
    }
    if (kBlockElems == 1) {
        for (uint i = whole; i < pc.n_in; ++i) {
            [[unroll]] for (uint r = 0; r < kRows; ++r) {
                const float v = dequant(w_row[r] + i, 0);
                [[unroll]] for (uint t = 0; t < kTokens; ++t) sum[t][r] += v * x[x_row[t] + i];
            }
        }
    }

    [[unroll]] for (uint r = 0; r < own_rows; ++r) {
        const uint row = first_row + r * gl_WorkGroupSize.x;
        if (row >= pc.n_out) return;
        [[unroll]] for (uint t = 0; t < kTokens; ++t) {
#ifdef EXPERTS
            store_expert(first_token + t, row, sum[t][r], sum[t][(r + own_rows) % kRows]);
#else
            if (first_token + t >= pc.n_tokens) break;
            float result = sum[t][r];
            if (pc.has_b != 0) result += b[pc.b_at + (first_token + t) * pc.b_stride + row];
            y[pc.y_at + (first_token + t) * pc.y_stride + row] = result;
#endif
        }
    }
}

void main() {
#ifdef EXPERTS
    if (!find_columns()) return;
    n_columns = subgroupBroadcastFirst(n_columns);
    expert = subgroupBroadcastFirst(expert);
    for (uint first = 0; first < n_columns; first += kTokens) multiply(first);
#else
    multiply(gl_WorkGroupID.y * kTokens);
#endif
}
