#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// math: as attention_rows.comp.
// shapes, layout: as attention_rows.comp.
// grid: x: block of kRows rows; y: KV head; z: split. kTile keys at a time. Scores: four invocations share a key, each takes every fourth run
//       of kKeyElems elements of the head for all rows, so that neighbours read neighbouring bytes. Softmax: 16 invocations a row. Values: an
//       invocation owns kValueElems columns of all rows and every kKeyParts-th key; their sums are added up in the end. So a key or value is read
//       once per block, and nothing but sums stays in registers.
// requires: Vulkan 1.2 with 16-bit storage; workgroups of 128; head sizes are multiples of 8; kRows <= 8; kTile is 32 or 64; kKeyElems
//           and kValueElems are 8, or 16 where keys or values are in blocks (their codes are read 16 bytes at a time then) and the head size
//           is a multiple. Less than 16 KiB of shared memory for heads of 128 and kTile = 64, heads of 256 and kTile = 32. The baseline of
//           attention: no subgroup operations.
// bound by: memory bandwidth with few rows, multiply-adds with many.
// source: online softmax, arXiv:1805.02867; FlashAttention-2, arXiv:2307.08691; splits as in Flash-Decoding.
#include "attention/attention_common.glsl"

layout(constant_id = 8) const uint kTile = 64;
layout(constant_id = 9) const uint kKeyElems = 8;     // of a key that an invocation reads at a time
layout(constant_id = 10) const uint kValueElems = 8;  // of a value

const uint kThreads = 128u, kParts = 4u, kRowLanes = 16u;
const uint kUnits = kHeadDim / kKeyElems, kValueUnits = kValueDim / kValueElems;
const uint kKeyQuads = kKeyElems / 4u, kValueQuads = kValueElems / 4u;
const uint kKeySlots = kThreads / kParts, kEach = kTile / kKeySlots;  // keys scored at a time; of an invocation
const uint kRowKeys = kTile / kRowLanes;                              // of an invocation in the softmax
const uint kRowQuads = (kRows + 3u) / 4u;
const uint kPartPitch = kRows * kTile + 8u;  // so that the four parts of a key lie in different banks
const uint kKeyParts = kThreads / kValueUnits > kTile ? kTile : kThreads / kValueUnits;
const uint kScoreFloats = kParts * kPartPitch > kThreads * 8u ? kParts * kPartPitch : kThreads * 8u;

shared vec4 query[kRows * kHeadDim / 4u];
shared float scores[kScoreFloats];          // [part, row, key], in the end sums [key part, unit, 8 columns] of a row
shared vec4 weights[kTile * kRowQuads];     // [key, row]
shared vec4 lane_values[kRows * kRowLanes / 4u];  // maxima, in the end totals
shared float rescales[kRowQuads * 4u];
shared uint cache_rows[2u * kTile];         // of this tile's keys and of the one before

vec4 row_sum[kRows * kValueQuads];  // of this invocation's columns and keys
float row_maximum, row_total;    // of this invocation's row in the softmax; the total is of its keys
uint slot = 0u;

// Scores of the tile's keys, as far as this invocation's elements go.
void score_keys(uint pages_at, uint tile, uint end, uint head_kv) {
    const uint part = gl_LocalInvocationID.x % kParts, key = gl_LocalInvocationID.x / kParts;
    uint k_row[kEach];
    float score[kRows * kEach];
    [[unroll]] for (uint e = 0u; e < kEach; ++e) {
        const uint row = min(cache_row(pages_at, min(tile + key + e * kKeySlots, end - 1u)), pc.n_cache_rows - 1u);
        if (part == 0u) cache_rows[slot * kTile + key + e * kKeySlots] = row;
        k_row[e] = pc.k_at + row * pc.k_stride;
    }
    [[unroll]] for (uint i = 0u; i < kRows * kEach; ++i) score[i] = 0.0;
    // Not unrolled: compilers would hoist all loads, and the registers would hold few workgroups.
    [[dont_unroll]] for (uint unit = part; unit < kUnits; unit += kParts) {
        vec4 k[kKeyQuads * kEach];
        [[unroll]] for (uint e = 0u; e < kEach; ++e) {
            vec4 loaded[4];
            if (kKeyElems == 16u) {
                k_load16(k_row[e], head_kv * kHeadDim + unit * 16u, loaded);
            } else {
                vec4 eight[2];
                k_load8(k_row[e], head_kv * kHeadDim + unit * 8u, eight);
                loaded[0] = eight[0];
                loaded[1] = eight[1];
            }
            [[unroll]] for (uint i = 0u; i < kKeyQuads; ++i) k[kKeyQuads * e + i] = loaded[i];
        }
        [[unroll]] for (uint r = 0u; r < kRows; ++r) {
            [[unroll]] for (uint i = 0u; i < kKeyQuads; ++i) {
                const vec4 wanted = query[r * (kHeadDim / 4u) + unit * kKeyQuads + i];
                [[unroll]] for (uint e = 0u; e < kEach; ++e) {
                    [[unroll]] for (uint c = 0u; c < 4u; ++c) score[r * kEach + e] = fma(wanted[c], k[kKeyQuads * e + i][c], score[r * kEach + e]);
                }
            }
        }
    }
    [[unroll]] for (uint r = 0u; r < kRows; ++r) {
        [[unroll]] for (uint e = 0u; e < kEach; ++e) scores[part * kPartPitch + r * kTile + key + e * kKeySlots] = score[r * kEach + e];
    }
}

// Scores become weights, relative to the row's running maximum.
void weigh_keys(uint tile, uvec2 seen) {
    const uint row = gl_LocalInvocationID.x / kRowLanes, lane = gl_LocalInvocationID.x % kRowLanes;
    float score[kRowKeys];
    if (row < kRows) {
        float highest = kNoScore;
        [[unroll]] for (uint i = 0u; i < kRowKeys; ++i) {
            const uint key = lane + i * kRowLanes;
            float sum = 0.0;
            [[unroll]] for (uint p = 0u; p < kParts; ++p) sum += scores[p * kPartPitch + row * kTile + key];
            score[i] = tile + key >= seen.x && tile + key < seen.y ? soft_capped(sum) : kNoScore;
            highest = max(highest, score[i]);
        }
        lane_values[row * (kRowLanes / 4u) + lane / 4u][lane % 4u] = highest;
    }
    barrier();
    if (row < kRows) {
        vec4 most = vec4(row_maximum);
        [[unroll]] for (uint i = 0u; i < kRowLanes / 4u; ++i) most = max(most, lane_values[row * (kRowLanes / 4u) + i]);
        const float highest = max(max(most.x, most.y), max(most.z, most.w)), rescale = exp(row_maximum - highest);
        row_maximum = highest;
        row_total *= rescale;
        if (lane == 0u) rescales[row] = rescale;
        [[unroll]] for (uint i = 0u; i < kRowKeys; ++i) {
            const float weight = score[i] == kNoScore ? 0.0 : exp(score[i] - highest);
            row_total += weight;
            weights[(lane + i * kRowLanes) * kRowQuads + row / 4u][row % 4u] = weight;
        }
    }
}

void add_values(uint head_kv) {
    const uint unit = gl_LocalInvocationID.x % kValueUnits, key_part = gl_LocalInvocationID.x / kValueUnits;
    [[unroll]] for (uint r = 0u; r < kRows; ++r) {
        [[unroll]] for (uint i = 0u; i < kValueQuads; ++i) row_sum[r * kValueQuads + i] *= rescales[r];
    }
    if (kThreads % kValueUnits != 0u || kKeyParts * kValueUnits < kThreads) {
        if (key_part >= kKeyParts) return;
    }
    [[dont_unroll]] for (uint key = key_part; key < kTile; key += kKeyParts) {
        const uint v_row = pc.v_at + cache_rows[slot * kTile + key] * pc.v_stride;
        vec4 v[4];
        if (kValueElems == 16u) {
            v_load16(v_row, head_kv * kValueDim + unit * 16u, v);
        } else {
            vec4 eight[2];
            v_load8(v_row, head_kv * kValueDim + unit * 8u, eight);
            v[0] = eight[0];
            v[1] = eight[1];
        }
        [[unroll]] for (uint r = 0u; r < kRows; ++r) {
            const float weight = weights[key * kRowQuads + r / 4u][r % 4u];
            [[unroll]] for (uint i = 0u; i < kValueQuads; ++i) {
                row_sum[r * kValueQuads + i] = fma(vec4(weight), v[i], row_sum[r * kValueQuads + i]);
            }
        }
    }
}

void take_tile(uint pages_at, uint tile, uint end, uvec2 seen, uint head_kv) {
    score_keys(pages_at, tile, end, head_kv);
    barrier();  // all have read the weights of the tile before, too
    weigh_keys(tile, seen);
    barrier();
    add_values(head_kv);
    slot ^= 1u;
}

#include "attention/attention_runs.glsl"

void read_query(uint first, uint n_rows, uint head_kv) {
    for (uint i = gl_LocalInvocationID.x; i < kRows * kHeadDim / 4u; i += kThreads) {
        const uint row = min(first + i / (kHeadDim / 4u), n_rows - 1u), head = head_kv * kGroup + row % kGroup;
        const uint at = pc.q_at + row / kGroup * pc.q_stride + head * kHeadDim + i % (kHeadDim / 4u) * 4u;
        query[i] = pc.scale * vec4(q[at], q[at + 1u], q[at + 2u], q[at + 3u]);
    }
}

// Row r of the block to the result: the columns from `eight` on of each unit, whose sums lie in shared memory as those of the weights do.
void write_row(uint r, uint index, uint head_kv, uint eight) {
    const uint token = index / kGroup, head = head_kv * kGroup + index % kGroup;
    const uint at = result_at(token, head, pc.first_split + gl_WorkGroupID.z);
    float total = 0.0, factor = 1.0, highest = rescales[r];
    [[unroll]] for (uint i = 0u; i < kRowLanes; ++i) total += lane_values[r * (kRowLanes / 4u) + i / 4u][i % 4u];
    if (pc.n_splits == 1u) {
        if (pc.has_sinks != 0u) {
            const float sink = sinks[pc.sinks_at + head], raised = max(highest, sink);
            factor = exp(highest - raised);
            total = total * factor + exp(sink - raised);
        }
        factor /= total;
    } else if (gl_LocalInvocationID.x == 0u) {
        result[at + kValueDim] = highest;
        result[at + kValueDim + 1u] = total;
    }
    for (uint i = gl_LocalInvocationID.x; i < kValueUnits * 8u; i += kThreads) {
        float sum = 0.0;
        for (uint p = 0u; p < kKeyParts; ++p) sum += scores[p * kValueUnits * 8u + i];
        result[at + i / 8u * kValueElems + eight + i % 8u] = sum * factor;
    }
}

void main() {
    const uint n_rows = pc.n_tokens * kGroup, first = gl_WorkGroupID.x * kRows, head_kv = gl_WorkGroupID.y;
    const uint row = gl_LocalInvocationID.x / kRowLanes, lane = gl_LocalInvocationID.x % kRowLanes;
    const uint token = min(first + row, n_rows - 1u) / kGroup;
    row_maximum = kNoScore;
    row_total = 0.0;
    [[unroll]] for (uint i = 0u; i < kRows * kValueQuads; ++i) row_sum[i] = vec4(0.0);
    read_query(first, n_rows, head_kv);
    barrier();

    take_block(first / kGroup, (min(first + kRows, n_rows) - 1u) / kGroup, token, keys_of(token), head_kv);

    barrier();
    if (row < kRows) {
        lane_values[row * (kRowLanes / 4u) + lane / 4u][lane % 4u] = row_total;
        if (lane == 0u) rescales[row] = row_maximum;
    }
    const uint unit = gl_LocalInvocationID.x % kValueUnits, key_part = gl_LocalInvocationID.x / kValueUnits;
    [[unroll]] for (uint r = 0u; r < kRows; ++r) {
        [[unroll]] for (uint eight = 0u; eight < kValueElems; eight += 8u) {
            if (key_part < kKeyParts) {
                const uint at = (key_part * kValueUnits + unit) * 8u;
                [[unroll]] for (uint c = 0u; c < 8u; ++c) scores[at + c] = row_sum[r * kValueQuads + (eight + c) / 4u][c & 3u];
            }
            barrier();
            if (first + r < n_rows) write_row(r, first + r, head_kv, eight);
            barrier();
        }
    }
}
