#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
// math: y[t, h] = sum_p w_p V[p, h / kGroup] / (sum_p w_p + exp(sink_h)), w_p = exp(cap(scale * q[t, h] . K[p, h / kGroup])), over the keys that
//       token t sees, with a running maximum (no score matrix). With n_splits > 1 the keys of one split, and the unnormalized sum, the
//       maximum and the sum of weights go to attention_combine.comp.
// shapes: q [n_tokens, n_head * kHeadDim] f32; K, V [n_cache_rows, n_head_kv * head size] as in common/cache_layout.glsl; positions, seqs
//         [n_tokens], page_table [n_seqs, max_pages] u32; out: y [n_tokens, n_head * kValueDim] or parts [n_tokens, n_head, n_splits,
//         kValueDim + 2] f32.
// layout: see push/attention.h and attention_common.glsl.
// grid: x: block of kRows rows, one per invocation; y: KV head; z: split. Every subgroup reads a tile of kTile keys, one per invocation, and
//       broadcasts their elements: for CPUs, where a load costs many times a multiply-add. GPUs run out of registers (attention_keys.comp).
// requires: Vulkan 1.2 with 16-bit storage, subgroup broadcast, subgroups of at least kTile; head sizes are multiples of 8; local size = kRows.
// bound by: multiply-adds.
// source: online softmax, arXiv:1805.02867; FlashAttention-2, arXiv:2307.08691; splits as in Flash-Decoding.
#include "attention/attention_common.glsl"

layout(constant_id = 8) const uint kTile = 8;

// Of the invocation's row.
vec4 query[kHeadDim / 4];
vec4 row_sum[kValueDim / 4];
float row_maximum, row_total;

// Keys tile .. tile + kTile - 1 of the sequence whose pages begin at pages_at, of which the row sees those in `seen`; none is >= end.
// Every subgroup loads the tile, a key per invocation, and broadcasts it.
void take_tile(uint pages_at, uint tile, uint end, uvec2 seen, uint head_kv) {
    uint p = tile + gl_SubgroupInvocationID % kTile;
    uint at = cache_row(pages_at, min(p, end - 1u));
    if (at >= pc.n_cache_rows || p >= end) p = 0xFFFFFFFFu;
    at = min(at, pc.n_cache_rows - 1u);
    const uint k_row = pc.k_at + at * pc.k_stride, v_row = pc.v_at + at * pc.v_stride;
    float score[kTile];
    [[unroll]] for (uint j = 0u; j < kTile; ++j) score[j] = 0.0;
    [[unroll]] for (uint i = 0u; i < kHeadDim; i += 8u) {
        vec4 k[2];
        k_load8(k_row, head_kv * kHeadDim + i, k);
        [[unroll]] for (uint c = 0u; c < 8u; ++c) {
            [[unroll]] for (uint j = 0u; j < kTile; ++j) {
                score[j] = fma(query[(i + c) / 4u][c & 3u], subgroupBroadcast(k[c / 4u][c & 3u], j), score[j]);
            }
        }
    }
    float highest = row_maximum;
    [[unroll]] for (uint j = 0u; j < kTile; ++j) {
        const uint key = subgroupBroadcast(p, j);
        score[j] = key >= seen.x && key < seen.y ? soft_capped(score[j]) : kNoScore;
        highest = max(highest, score[j]);
    }
    const float rescale = exp(row_maximum - highest);
    row_maximum = highest;
    row_total *= rescale;
    [[unroll]] for (uint j = 0u; j < kTile; ++j) {
        score[j] = score[j] == kNoScore ? 0.0 : exp(score[j] - highest);
        row_total += score[j];
    }
    [[unroll]] for (uint i = 0u; i < kValueDim; i += 8u) {
        vec4 v[2];
        v_load8(v_row, head_kv * kValueDim + i, v);
        [[unroll]] for (uint c = 0u; c < 8u; ++c) {
            float sum = row_sum[(i + c) / 4u][c & 3u] * rescale;
            [[unroll]] for (uint j = 0u; j < kTile; ++j) sum = fma(subgroupBroadcast(v[c / 4u][c & 3u], j), score[j], sum);
            row_sum[(i + c) / 4u][c & 3u] = sum;
        }
    }
}

#include "attention/attention_runs.glsl"

void main() {
    const uint n_rows = pc.n_tokens * kGroup, first = gl_WorkGroupID.x * kRows, head_kv = gl_WorkGroupID.y;
    const uint index = first + gl_LocalInvocationID.x, row_index = min(index, n_rows - 1u);
    const uint token = row_index / kGroup, head = head_kv * kGroup + row_index % kGroup;
    [[dont_unroll]] for (uint i = 0u; i < kHeadDim; ++i) query[i / 4u][i & 3u] = pc.scale * q[pc.q_at + token * pc.q_stride + head * kHeadDim + i];
    row_maximum = kNoScore;
    row_total = 0.0;
    [[unroll]] for (uint i = 0u; i < kValueDim / 4u; ++i) row_sum[i] = vec4(0.0);

    take_block(first / kGroup, (min(first + kRows, n_rows) - 1u) / kGroup, token, keys_of(token), head_kv);

    if (index >= n_rows) return;
    const uint at = result_at(token, head, pc.first_split + gl_WorkGroupID.z);
    float factor = 1.0;
    if (pc.n_splits == 1u) {
        if (pc.has_sinks != 0u) {
            const float sink = sinks[pc.sinks_at + head], highest = max(row_maximum, sink);
            factor = exp(row_maximum - highest);
            row_total = row_total * factor + exp(sink - highest);
        }
        factor /= row_total;
    } else {
        result[at + kValueDim] = row_maximum;
        result[at + kValueDim + 1u] = row_total;
    }
    [[dont_unroll]] for (uint i = 0u; i < kValueDim; ++i) result[at + i] = row_sum[i / 4u][i & 3u] * factor;
}
