#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_vote : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_EXT_control_flow_attributes : require
#pragma use_vulkan_memory_model
// math: as attention_rows.comp, kRows query rows against kKeys keys at a time: S = Q K^T and O = O * rescale + P V by cooperative matrices with
//       f16 inputs and f32 sums. A row of Q is divided by a power of two so that it lies in [-2, 2]; that factor joins the scale. The running
//       maximum follows the scores only when they pass it by more than kSlack, so that O is seldom rescaled.
// shapes, layout: as attention_rows.comp.
// grid: x: block of rows; y: KV head; z: split. kParts subgroups share M rows; each takes its part of the head's columns: of Q (the partial S
//       are added up in shared memory) and of O. Which element of a matrix an invocation holds is unknown: S and P go through shared memory,
//       where kRowLanes invocations do a row's softmax, and O is multiplied by a matrix that was loaded with stride 0, row by row the same.
// requires: VK_KHR_cooperative_matrix with M x N x K, f16 f16 -> f32, in subgroups of kSubgroup, all full; M divides kSubgroup * kParts.
// bound by: matrix products, then shared memory.
// source: online softmax, arXiv:1805.02867; FlashAttention-2, arXiv:2307.08691.
#include "attention/attention_common.glsl"
#include "common/each_matrix.glsl"

#include "attention/attention_coopmat_tiles.glsl"

float over_row_lanes_max(float x) {
    [[unroll]] for (uint step = 1; step < kRowLanes; step *= 2) x = max(x, subgroupShuffleXor(x, step));
    return x;
}
float over_row_lanes_sum(float x) {
    [[unroll]] for (uint step = 1; step < kRowLanes; step *= 2) x += subgroupShuffleXor(x, step);
    return x;
}

// What an invocation knows of its row of the block: row part * (M / kParts) + lane / kRowLanes of the group.
struct Row {
    uint in_group, token, head;
    uvec2 keys;         // that it sees
    float score_scale;  // of an element of S
    float maximum;      // that O and total are relative to, in powers of two
    float total;        // of this invocation's keys
};

// S -> P and the factor of O. Returns whether any row's factor is not 1.
bool softmax(inout Row row, uint first_key, uvec2 seen) {
    const uint column = lane % kRowLanes, at = (group * kParts * M + row.in_group) * kScorePitch;
    vec4 score[kQuads];
    float highest = kNoScore;
    [[unroll]] for (uint i = 0; i < kQuads; ++i) {
        const uint quad = i * kRowLanes + column;
        vec4 s = vec4(0.0);
        [[unroll]] for (uint p = 0; p < kParts; ++p) {
            const uint from = at + p * M * kScorePitch + quad * 2;
            s += vec4(uintBitsToFloat(work[from]), uintBitsToFloat(work[from + 1]));
        }
        score[i] = s * row.score_scale;
    }
    if (pc.softcap != 0.0) {
        [[unroll]] for (uint i = 0; i < kKeys / kRowLanes; ++i) score[i / 4][i & 3] = soft_capped(score[i / 4][i & 3]) * kLog2e;
    }
    [[unroll]] for (uint i = 0; i < kKeys / kRowLanes; ++i) {
        const uint key = first_key + (i / 4 * kRowLanes + column) * 4 + (i & 3);
        score[i / 4][i & 3] = key >= seen.x && key < seen.y ? score[i / 4][i & 3] : kNoScore;
        highest = max(highest, score[i / 4][i & 3]);
    }
    highest = over_row_lanes_max(highest);
    float rescale = 1.0;
    if (highest > row.maximum + kSlack) {
        rescale = exp2(row.maximum - highest);
        row.maximum = highest;
    }
    const float base = max(row.maximum, -1.0e38);  // of a row that has seen no key: its weights are 0
    row.total *= rescale;
    subgroupBarrier();  // the row's invocations have read S
    [[unroll]] for (uint i = 0; i < kQuads; ++i) {
        const vec4 weight = exp2(score[i] - base);
        const uvec2 halves = uvec2(packHalf2x16(weight.xy), packHalf2x16(weight.zw));
        const vec2 two = unpackHalf2x16(halves.x) + unpackHalf2x16(halves.y);  // as rounded, which some devices do towards 0
        row.total += two.x + two.y;
        work[at + i * kRowLanes + column] = halves;
    }
    if (column == 0) row_scale[group * M + row.in_group] = rescale;
    return subgroupAny(rescale != 1.0);
}

// S = Q K^T, as far as this subgroup's part of the columns goes.
void score_tile(uint query[kQueryWords]) {
    [[unroll]] for (uint t = 0; t < kKeyTiles; ++t) {
        SUM score = SUM(0.0);
        [[unroll]] for (uint s = 0; s < kPartSteps; ++s) {
            if (kSteps % kParts != 0 && part * kPartSteps + s >= kSteps) continue;
            MATRIX_A rows;
            [[unroll]] for (uint i = 0; i < 8; ++i) {
                if (2 * i >= rows.length()) continue;
                const f16vec2 two = unpackFloat2x16(query[s * 8 + i]);
                rows[2 * i] = two.x;
                rows[2 * i + 1] = two.y;
            }
            MATRIX_B keys;
            coopMatLoad(keys, k_tile, t * N * kKeyPitch + (part * kPartSteps + s) * (K / 8), kKeyPitch, COLUMN_MAJOR);
            score = coopMatMulAdd(rows, keys, score);
        }
        coopMatStore(score, work, (group * kParts + part) * M * kScorePitch + t * (N / 2), kScorePitch, ROW_MAJOR);
    }
}

// O = O * rescale + P V for this subgroup's columns.
void add_values(inout SUM sum[kPartTiles], bool rescale) {
    if (kParts > 1 || rescale) {
        SUM factor;
        coopMatLoad(factor, row_scale, group * M, 0, COLUMN_MAJOR);
        [[unroll]] for (uint i = 0; i < kPartTiles; ++i) sum[i] = sum[i] * factor;
    }
    [[unroll]] for (uint s = 0; s < kKeys / K; ++s) {
        MATRIX_A weights;
        coopMatLoad(weights, work, group * kParts * M * kScorePitch + s * (K / 4), kScorePitch, ROW_MAJOR);
        [[unroll]] for (uint i = 0; i < kPartTiles; ++i) {
            if (kColTiles % kParts != 0 && part * kPartTiles + i >= kColTiles) continue;
            MATRIX_B values;
            coopMatLoad(values, v_tile, (part * kPartTiles + i) * N * kValuePitch + s * (K / 4), kValuePitch, COLUMN_MAJOR);
            sum[i] = coopMatMulAdd(weights, values, sum[i]);
        }
    }
}

// As many tiles as a row of `work` holds, from number `first` on, which is known when the pipeline is compiled.
void write_tiles(const uint first, inout SUM sum[kPartTiles], uint split) {
    const uint at = (group * kParts + part) * M * kScorePitch;
    [[unroll]] for (uint i = 0; i < kKeyTiles; ++i) {
        if (first + i < kPartTiles) coopMatStore(sum[first + i], work, at + i * (N / 2), kScorePitch, ROW_MAJOR);
    }
    subgroupBarrier();
    [[dont_unroll]] for (uint i = lane; i < M * kKeys; i += kSubgroup) {
        const uint r = i / kKeys, c = i % kKeys, col = (part * kPartTiles + first) * N + c;
        const uint index = gl_WorkGroupID.x * kRows + group * M + r, token = index / kGroup;
        if (token >= pc.n_tokens || col >= kValueDim || first + c / N >= kPartTiles) continue;
        const float value = uintBitsToFloat(work[at + r * kScorePitch + c / 2][c & 1]);
        result[result_at(token, head_kv * kGroup + index % kGroup, split) + col] = value * row_scale[group * M + r];
    }
    subgroupBarrier();
}

void finish(Row row, inout SUM sum[kPartTiles]) {
    const uint split = pc.first_split + gl_WorkGroupID.z;
    float total = over_row_lanes_sum(row.total), factor = 1.0;
    if (pc.n_splits == 1) {
        if (pc.has_sinks != 0) {
            const float sink = sinks[pc.sinks_at + row.head] * kLog2e, highest = max(row.maximum, sink);
            factor = exp2(row.maximum - highest);
            total = total * factor + exp2(sink - highest);
        }
        factor /= total;
    } else if (row.token < pc.n_tokens && lane % kRowLanes == 0) {
        const uint at = result_at(row.token, row.head, split) + kValueDim;
        result[at] = row.maximum == kNoScore ? kNoScore : row.maximum * kLn2;
        result[at + 1] = total;
    }
    if (lane % kRowLanes == 0) row_scale[group * M + row.in_group] = factor;
    sync_parts();
#define WRITE(f) if ((f) % kKeyTiles == 0 && (f) < kPartTiles) write_tiles((f), sum, split);
    EACH_MATRIX(WRITE)
}

void main() {
    lane = gl_SubgroupInvocationID;
    part = gl_SubgroupID % kParts;
    group = gl_SubgroupID / kParts;
    thread = gl_SubgroupID * kSubgroup + lane;
    head_kv = gl_WorkGroupID.y;
    const uint first_row = gl_WorkGroupID.x * kRows, group_row = first_row + group * M;

    measure_q(group_row);
    sync_parts();
    const uint hidden_zero = pc.n_tokens >> 31;
    uint query[kQueryWords];
    [[unroll]] for (uint s = 0; s < kPartSteps; ++s) {
        if (s % kChunkSteps == 0) {
            subgroupBarrier();
            stage_q(group_row, (part * kPartSteps + s) * K);
            subgroupBarrier();
        }
        MATRIX_A rows;
        coopMatLoad(rows, work, (group * kParts + part) * M * kScorePitch + s % kChunkSteps * (K / 4), kScorePitch, ROW_MAJOR);
        [[unroll]] for (uint i = 0; i < 8; ++i) {
            if (2 * i < rows.length()) query[s * 8 + i] = packFloat2x16(f16vec2(rows[2 * i], rows[2 * i + 1])) ^ hidden_zero;
        }
    }
    subgroupBarrier();

    Row row;
    row.in_group = part * (M / kParts) + lane / kRowLanes;
    const uint index = first_row + group * M + row.in_group;
    row.token = index / kGroup;
    row.head = head_kv * kGroup + index % kGroup;
    row.score_scale = pc.scale * row_scale[group * M + row.in_group] * (pc.softcap == 0.0 ? kLog2e : 1.0);
    row.keys = keys_of(min(row.token, pc.n_tokens - 1));
    row.maximum = kNoScore;
    row.total = 0.0;
    SUM sum[kPartTiles];
    [[unroll]] for (uint i = 0; i < kPartTiles; ++i) sum[i] = SUM(0.0);

    begin_walk(first_row / kGroup, min((first_row + kRows - 1) / kGroup, pc.n_tokens - 1));
    bool more = next_run();
    if (more) fill_rows(0);
    for (uint slot = 0; more; slot ^= 1) {
        barrier();  // rows are known, tiles are free
        fill_k(slot);
        fill_v(slot);
        barrier();
        const uvec2 seen = seen_in_run(row.token, row.keys);
        const bool any = kParts > 1 || subgroupAny(max(seen.x, tile) < min(seen.y, tile + kKeys));
        const uint first_key = tile;
        more = next_tile();
        if (more) fill_rows(slot ^ 1);
        // A subgroup whose rows see none of these keys leaves the products out, but no barrier: some devices count them.
        if (any) score_tile(query);
        sync_parts();
        const bool rescale = softmax(row, first_key, seen);
        sync_parts();
        if (any) add_values(sum, rescale);
    }
    finish(row, sum);
}
