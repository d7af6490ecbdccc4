#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#ifdef EXPERTS
#extension GL_KHR_shader_subgroup_ballot : require
#endif
// math: y[t, o] = sum_i w[o, i] * x[t, i]  (+ b[t, o], or b[0, o], if has_b).
//       GATED: y[t, o] = silu(g) * u, where g is that sum over row o of w and u the one over the row up_rows after it;
//       no b.
//       EXPERTS: products of experts, see experts/columns.glsl; at most kTokens columns at a time.
// shapes: w [n_out, n_in] in the WEIGHT format; x [n_tokens, n_in], y [n_tokens, n_out], b [n_tokens or 1, n_out] f32.
// layout: w offsets in blocks, others in elements, see push/matmul.h.
// grid: x: kLanesPerRow invocations share kRows neighbouring rows of w, each taking every kLanesPerRow-th run of kRunWeights weights; y: a
//       workgroup owns kTokens tokens, and each weight is read and unpacked once for all of them. The activations of kAhead rounds of runs, or
//       of kSlice weights of each run of one round, lie in shared memory. How a sum is added up depends on kLanesPerRow and the
//       format alone: a token's results are the same bits whatever kTokens, kRows, kAhead and kSlice are.
// requires: Vulkan 1.2 with 8- and 16-bit storage and scalar block layout; kLanesPerRow a power of two that divides the local size; kSlice a
//           multiple of 8 that divides kRunWeights, and equal to it if kAhead > 1. y may be b. Rows of block formats are whole multiples of 32.
//           SUBGROUP: subgroup shuffles, full subgroups, of which kLanesPerRow divides the size. EXPERTS: SUBGROUP and ballots. kWideX: x_at and x_stride are multiples of 4.
// bound by: memory bandwidth of w; with many tokens multiply-adds.
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
layout(constant_id = 1) const uint kLanesPerRow = 1;
layout(constant_id = 2) const uint kTokens = 1;
layout(constant_id = 3) const uint kRows = 1;
layout(constant_id = 4) const uint kSlice = 32;
layout(constant_id = 5) const uint kAhead = 1;
layout(constant_id = 6) const uint kWideX = 0;

layout(binding = 0, scalar) readonly buffer W { Block w[]; };
layout(binding = 1, std430) readonly buffer X { float x[]; };
layout(binding = 1, std430) readonly buffer X4 { vec4 x4[]; };
layout(binding = 2, std430) readonly buffer B { float b[]; };
layout(binding = 3, std430) writeonly buffer Y { float y[]; };

#define FORMAT_FUNCTIONS
#include "weight_format.glsl"
#include "weight_run.glsl"

#ifdef EXPERTS
#define EXPERTS_ID 7
#include "shaders/experts/columns.glsl"
#define N_COLUMNS n_columns
#define HAS_COLUMN(t) (kTokens == 1 || first_token + t < n_columns)
#else
#define N_COLUMNS pc.n_tokens
#define HAS_COLUMN(t) true
uint x_row_at(uint token) { return pc.x_at + token * pc.x_stride; }
#endif

// [token][round][lane] runs, each with a gap of 16 bytes after it: neighbouring lanes read different banks.
const uint kPitch = kSlice / 4 + 1;
shared vec4 x_tile[kTokens * kAhead * kLanesPerRow * kPitch];
#ifndef SUBGROUP
shared float partial[kTokens * gl_WorkGroupSize.x];
#endif

// Four activations of a whole run; zeros past the last one.
vec4 load_x(uint token, uint i) {
    if (token >= N_COLUMNS || i >= pc.n_in / kRunWeights * kRunWeights) return vec4(0.0);
    const uint at = x_row_at(token) + i;
    if (kWideX != 0) return x4[at / 4];
    return vec4(x[at], x[at + 1], x[at + 2], x[at + 3]);
}

// Activations of the runs from `first_run` on, elements from `slice` on of each.
void load_tile(uint first_token, uint first_run, uint slice) {
    const uint per_token = kAhead * kLanesPerRow * (kSlice / 4);
    barrier();
    for (uint unit = gl_LocalInvocationID.x; unit < kTokens * per_token; unit += gl_WorkGroupSize.x) {
        const uint t = unit / per_token, rest = unit % per_token, run = rest / (kSlice / 4), j = rest % (kSlice / 4);
        x_tile[(t * kAhead * kLanesPerRow + run) * kPitch + j] = load_x(first_token + t, (first_run + run) * kRunWeights + slice + 4 * j);
    }
    barrier();
}

#ifndef EXPERTS
void store(uint token, uint row, float result) {
    if (row >= pc.n_out || token >= pc.n_tokens) return;
    if (pc.has_b != 0) result += b[pc.b_at + token * pc.b_stride + row];
    y[pc.y_at + token * pc.y_stride + row] = result;
}
#endif

#ifdef SUBGROUP
float team_sum(float part) {
    [[unroll]] for (uint step = kLanesPerRow / 2; step > 0; step /= 2) part += subgroupShuffleXor(part, step);
    return part;
}
#endif

// Columns first_token .. first_token + kTokens of the team's rows.
void multiply(uint first_token) {
#ifdef SUBGROUP
    const uint lane = gl_SubgroupInvocationID % kLanesPerRow;
    const uint team = gl_SubgroupID * (gl_SubgroupSize / kLanesPerRow) + gl_SubgroupInvocationID / kLanesPerRow;
#else
    const uint lane = gl_LocalInvocationID.x % kLanesPerRow, team = gl_LocalInvocationID.x / kLanesPerRow;
#endif
    const uint teams = gl_WorkGroupSize.x / kLanesPerRow;

#if defined(EXPERTS)
    const uint own_rows = kGated != 0 ? kRows / 2 : kRows;
#elif defined(GATED)
    const uint own_rows = kRows / 2;  // the other half of a team's rows are their partners
#else
    const uint own_rows = kRows;
#endif
    // Rows past the end repeat the last one; their sums are never written. Tokens past the end are zeros.
    uint w_row[kRows];
    float sum[kTokens * kRows];
    const uint first_row = (gl_WorkGroupID.x * teams + team) * own_rows;
    [[unroll]] for (uint r = 0; r < kRows; ++r) {
        const uint row = min(first_row + r % own_rows, pc.n_out - 1);
#ifdef EXPERTS
        w_row[r] = w_row_at(row, r >= own_rows);
#else
        w_row[r] = pc.w_at_blocks + (row + (r < own_rows ? 0 : pc.up_rows)) * pc.w_stride_blocks;
#endif
    }
    [[unroll]] for (uint s = 0; s < kTokens * kRows; ++s) sum[s] = 0.0;

    // Runs past the end of the row meet zeros in the tile.
    const uint n_runs = pc.n_in / kRunWeights;
    for (uint first_run = 0; first_run < n_runs; first_run += kAhead * kLanesPerRow) {
        if (kSlice == kRunWeights) load_tile(first_token, first_run, 0);
        for (uint round = 0; round < kAhead; ++round) {
            const uint i = min(first_run + round * kLanesPerRow + lane, n_runs - 1) * kRunWeights;
            Run run[kRows];
            [[unroll]] for (uint r = 0; r < kRows; ++r) run[r] = load_run(w_row[r] + i / kBlockElems, i % kBlockElems);
            [[unroll]] for (uint slice = 0; slice < kRunWeights; slice += kSlice) {
                if (kSlice != kRunWeights) load_tile(first_token, first_run, slice);
                [[unroll]] for (uint k = 0; k < kSlice; k += 8) {
                    vec4 v[kRows * 2];
                    [[unroll]] for (uint r = 0; r < kRows; ++r) unpack8(run[r], (slice + k) / 8, v[2 * r], v[2 * r + 1]);
                    [[unroll]] for (uint t = 0; t < kTokens; ++t) if (HAS_COLUMN(t)) {
                        const uint at = ((t * kAhead + round) * kLanesPerRow + lane) * kPitch + k / 4;
                        const vec4 xa = x_tile[at], xb = x_tile[at + 1];
                        [[unroll]] for (uint r = 0; r < kRows; ++r) {
                            float s = sum[t * kRows + r];
                            [[unroll]] for (uint j = 0; j < 4; ++j) s = fma(v[2 * r][j], xa[j], s);
                            [[unroll]] for (uint j = 0; j < 4; ++j) s = fma(v[2 * r + 1][j], xb[j], s);
                            sum[t * kRows + r] = s;
                        }
                    }
                }
            }
        }
    }
    // The rest of a row that is no whole number of runs: an element at a time.
    for (uint i = n_runs * kRunWeights + lane; i < pc.n_in; i += kLanesPerRow) {
        [[unroll]] for (uint r = 0; r < kRows; ++r) {
            const float v = dequant(w_row[r] + i / kBlockElems, i % kBlockElems);
            [[unroll]] for (uint t = 0; t < kTokens; ++t) {
                const uint at = x_row_at(min(first_token + t, N_COLUMNS - 1)) + i;
                sum[t * kRows + r] = fma(v, x[at], sum[t * kRows + r]);
            }
        }
    }

    [[unroll]] for (uint r = 0; r < own_rows; ++r) {
#ifdef SUBGROUP
        // Every lane of a team gets the whole sum; lane l keeps those of tokens l, l + kLanesPerRow ..
        [[unroll]] for (uint first = 0; first < kTokens; first += kLanesPerRow) {
            float mine = 0.0;
#ifdef EXPERTS
            float mine_up = 0.0;
#endif
            [[unroll]] for (uint t = first; t < min(kTokens, first + kLanesPerRow); ++t) {
                float result = team_sum(sum[t * kRows + r]);
#ifdef EXPERTS
                const float up = kGated != 0 ? team_sum(sum[t * kRows + (own_rows + r) % kRows]) : 0.0;
                mine_up = lane == t - first ? up : mine_up;
#endif
#ifdef GATED
                // exp(-g) overflows to infinity for g < -88; then g / inf is the right answer, -0.
                result = result / (1.0 + exp(-result)) * team_sum(sum[t * kRows + own_rows + r]);
#endif
                mine = lane == t - first ? result : mine;
            }
#ifdef EXPERTS
            if (first + lane < kTokens) store_expert(first_token + first + lane, first_row + r, mine, mine_up);
#else
            if (first + lane < kTokens) store(first_token + first + lane, first_row + r, mine);
#endif
        }
#else
        barrier();
        [[unroll]] for (uint t = 0; t < kTokens; ++t) partial[t * gl_WorkGroupSize.x + gl_LocalInvocationID.x] = sum[t * kRows + r];
        barrier();
        for (uint item = gl_LocalInvocationID.x; item < teams * kTokens; item += gl_WorkGroupSize.x) {
            const uint t = item / teams, row = (gl_WorkGroupID.x * teams + item % teams) * kRows + r;
            float result = 0.0;
            for (uint l = 0; l < kLanesPerRow; ++l) result += partial[t * gl_WorkGroupSize.x + item % teams * kLanesPerRow + l];
            store(first_token + t, row, result);
        }
#endif
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
