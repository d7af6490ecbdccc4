// Constants, shared memory and the filling of tiles of attention_coopmat.comp.
#ifndef ATLAS_ATTENTION_COOPMAT_TILES_GLSL
#define ATLAS_ATTENTION_COOPMAT_TILES_GLSL
layout(constant_id = 8) const uint kKeys = 32;  // of a tile: a multiple of M, N, K and 8
layout(constant_id = 9) const uint M = 16;
layout(constant_id = 10) const uint N = 16;
layout(constant_id = 11) const uint K = 16;
layout(constant_id = 12) const uint kSubgroup = 32;
layout(constant_id = 13) const uint kParts = 1;

const uint kGroups = kRows / M;                      // of kParts subgroups
const uint kThreads = kGroups * kParts * kSubgroup;  // the workgroup
const uint kSteps = (kHeadDim + K - 1) / K;          // of Q K^T along the head
const uint kPartSteps = (kSteps + kParts - 1) / kParts;
const uint kColTiles = (kValueDim + N - 1) / N;  // of O
const uint kPartTiles = (kColTiles + kParts - 1) / kParts;
const uint kKeyTiles = kKeys / N;                                          // of S
const uint kRowUnits = kSteps * K / 8;                                     // 16-byte units of a row of Q or K
const uint kKeyPitch = kRowUnits + 1 - (kRowUnits & 1);                    // odd: rows begin in different banks
const uint kValuePitch = kKeys / 4 + 1;                                    // of a column of V, in units of 8 bytes
const uint kScorePitch = kKeys / 2 + 1;                                    // of a row of S, in units of 8 bytes
const uint kRowLanes = kSubgroup * kParts / M;                             // invocations that do a row's softmax
const uint kQuads = kKeys / kRowLanes / 4;                                 // fours of keys that each of them owns
const uint kChunkSteps = 2 * kKeys / K;                                    // of Q, staged at a time
const uint kQueryWords = kPartSteps * 8;                                   // of an invocation: at most 16 halves of a matrix
const uint kNoRow = 0xFFFFFFFFu;
const float kSlack = 6.0;  // in powers of two: P is at most 64
const float kLog2e = 1.44269504088896341, kLn2 = 0.693147180559945309;

#define MATRIX_A coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA>
#define MATRIX_B coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB>
#define SUM coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>
#define ROW_MAJOR gl_CooperativeMatrixLayoutRowMajor
#define COLUMN_MAJOR gl_CooperativeMatrixLayoutColumnMajor

shared uvec4 k_tile[kKeys * kKeyPitch];
shared uvec2 v_tile[kColTiles * N * kValuePitch];  // transposed: four keys of a column
shared uvec2 work[kRows * kParts * kScorePitch];   // S in f32; before it Q; P in f16 over the first part's S; in the end O
shared float row_scale[kRows];                     // of Q, then of O, in the end of the result
shared uint row_of[2 * kKeys];                     // cache rows of this tile's keys and of the next one's

#include "attention/attention_walk.glsl"

uint lane, part, group, thread, head_kv;

uint query_at(uint index) { return pc.q_at + index / kGroup * pc.q_stride + (head_kv * kGroup + index % kGroup) * kHeadDim; }

void sync_parts() {
    if (kParts == 1) subgroupBarrier();
    else barrier();
}

uvec2 halves_of(vec4 v) {
    const vec4 finite = clamp(v, -65504.0, 65504.0);
    return uvec2(packHalf2x16(finite.xy), packHalf2x16(finite.zw));
}

// Of a format of blocks: half a block an invocation, whose codes are one load of 16 bytes.
void fill_k_from_blocks(uint slot) {
    const uint row_halves = kHeadDim / 16;
    for (uint i = thread; i < kKeys * row_halves; i += kThreads) {
        const uint key = i / row_halves, part_of_row = i % row_halves, row = row_of[slot * kKeys + key];
        uvec4 halves[2] = uvec4[2](uvec4(0), uvec4(0));
        if (row != kNoRow) {
            vec4 v[4];
            k_load16(pc.k_at + row * pc.k_stride, head_kv * kHeadDim + part_of_row * 16, v);
            [[unroll]] for (uint j = 0; j < 2; ++j) halves[j] = uvec4(halves_of(v[2 * j]), halves_of(v[2 * j + 1]));
        }
        [[unroll]] for (uint j = 0; j < 2; ++j) k_tile[key * kKeyPitch + part_of_row * 2 + j] = halves[j];
    }
}

void fill_k(uint slot) {
    if (cache_in_blocks(kKFormat) && kHeadDim % 16 == 0 && kRowUnits * 8 == kHeadDim) {
        fill_k_from_blocks(slot);
        return;
    }
    for (uint i = thread; i < kKeys * kRowUnits; i += kThreads) {
        const uint key = i / kRowUnits, unit = i % kRowUnits, row = row_of[slot * kKeys + key];
        const uint col = head_kv * kHeadDim + unit * 8;
        uvec4 halves = uvec4(0);
        if (row != kNoRow && (kRowUnits * 8 == kHeadDim || unit * 8 < kHeadDim)) {
            if (kKFormat == ATLAS_CACHE_F16) {
                halves = k_units[pc.k_at + row * pc.k_stride + col / 8];
            } else {
                vec4 v[2];
                k_load8(pc.k_at + row * pc.k_stride, col, v);
                halves = uvec4(halves_of(v[0]), halves_of(v[1]));
            }
        }
        k_tile[key * kKeyPitch + unit] = halves;
    }
}

// Four keys and eight columns an invocation, so that columns can be stored with the keys side by side.
void fill_v(uint slot) {
    const uint quads = kKeys / 4;
    for (uint i = thread; i < quads * (kColTiles * N / 8); i += kThreads) {
        const uint quad = i % quads, unit = i / quads, col = head_kv * kValueDim + unit * 8;
        uvec4 halves[4];
        [[unroll]] for (uint k = 0; k < 4; ++k) {
            const uint row = row_of[slot * kKeys + quad * 4 + k];
            halves[k] = uvec4(0);
            if (row == kNoRow || (kColTiles * N != kValueDim && unit * 8 >= kValueDim)) continue;
            if (kVFormat == ATLAS_CACHE_F16) {
                halves[k] = v_units[pc.v_at + row * pc.v_stride + col / 8];
            } else {
                vec4 v[2];
                v_load8(pc.v_at + row * pc.v_stride, col, v);
                halves[k] = uvec4(halves_of(v[0]), halves_of(v[1]));
            }
        }
        [[unroll]] for (uint c = 0; c < 4; ++c) {
            const uint at = (unit * 8 + 2 * c) * kValuePitch + quad;
            v_tile[at] = uvec2((halves[0][c] & 0xFFFFu) | (halves[1][c] << 16), (halves[2][c] & 0xFFFFu) | (halves[3][c] << 16));
            v_tile[at + kValuePitch] = uvec2((halves[0][c] >> 16) | (halves[1][c] & 0xFFFF0000u), (halves[2][c] >> 16) | (halves[3][c] & 0xFFFF0000u));
        }
    }
}

// The power of two that a row of Q is divided by, to row_scale.
void measure_q(uint first_row) {
    for (uint r = part * (M / kParts); r < (part + 1) * (M / kParts); ++r) {
        const uint index = first_row + r, at = query_at(index);
        float largest = 0.0;
        for (uint i = lane; index / kGroup < pc.n_tokens && i < kHeadDim; i += kSubgroup) largest = max(largest, abs(q[at + i]));
        const uint exponent = clamp(floatBitsToUint(subgroupMax(largest)) >> 23, 1u, 253u);
        if (lane == 0) row_scale[group * M + r] = uintBitsToFloat(exponent << 23);
    }
}

// Columns of this subgroup's rows of Q, as many halves as a row of S has words, to where its S will be.
void stage_q(uint first_row, uint first_col) {
    const uint at = (group * kParts + part) * M * kScorePitch;
    [[unroll]] for (uint j = 0; j < M * kKeys / 2 / kSubgroup; ++j) {
        const uint i = j * kSubgroup + lane, r = i / (kKeys / 2), unit = i % (kKeys / 2), index = first_row + r, col = first_col + unit * 4;
        vec4 v = vec4(0.0);
        if (index / kGroup < pc.n_tokens && col < kHeadDim) {
            const uint from = query_at(index) + col;
            v = vec4(q[from], q[from + 1], q[from + 2], q[from + 3]) / row_scale[group * M + r];
        }
        work[at + r * kScorePitch + unit] = uvec2(packHalf2x16(v.xy), packHalf2x16(v.zw));
    }
}

void fill_rows(uint slot) {
    for (uint i = thread; i < kKeys; i += kThreads) {
        const uint key = tile + i;
        row_of[slot * kKeys + i] = key >= key_begin && key < key_end ? min(cache_row(run_pages, key), pc.n_cache_rows - 1) : kNoRow;
    }
}
#endif
