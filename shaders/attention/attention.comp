#version 460
#extension GL_GOOGLE_include_directive : require
// math: y[t, h] = sum_p softmax_p(scale * q[t, h] . K[p, h / heads_per_kv]) V[p, h / heads_per_kv] over p = 0 .. positions[t], with a running
//       maximum and sum (no score matrix). With n_splits > 1 a workgroup does one part of the keys and leaves its unnormalized sum,
//       its maximum and its sum of weights to attention_combine.comp.
// shapes: q [n_tokens, n_head * kHeadDim] f32; K, V [n_cache_rows, n_head_kv * kHeadDim] in the WEIGHT format; positions, seqs [n_tokens],
//         page_table [n_seqs, max_pages] u32; out: y as q, or parts [n_tokens, n_head, n_splits, kHeadDim + 2] f32.
// layout: offsets and strides in elements, see push/attention.h.
// grid: x: token; y: kHeads query heads that share a KV head; z: part of the keys. Keys are walked in tiles of one per invocation:
//       first an invocation owns a key (scores), then the columns lane, lane + size, ... of the sum.
// requires: Vulkan 1.2 with 16-bit storage; kHeads divides heads_per_kv; 4 * (kHeads * (kHeadDim + size) + size) bytes of shared memory.
// bound by: reading K and V (decode), multiply-adds (prefill).
// source: online softmax, arXiv:1805.02867; FlashAttention-2, arXiv:2307.08691; splits as in Flash-Decoding.
#include "common/cache_type.glsl"
#include "shaders/push/attention.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kHeadDim = 64;
layout(constant_id = 2) const uint kHeads = 1;

layout(binding = 0, std430) readonly buffer Q { float q[]; };
layout(binding = 1, scalar) readonly buffer K { CACHE_READ k[]; };
layout(binding = 2, scalar) readonly buffer V { CACHE_READ v[]; };
layout(binding = 3, std430) readonly buffer Positions { uint positions[]; };
layout(binding = 4, std430) readonly buffer Seqs { uint seqs[]; };
layout(binding = 5, std430) readonly buffer Pages { uint page_table[]; };
layout(binding = 6, std430) writeonly buffer Out { float result[]; };

const uint kCols = (kHeadDim + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;  // columns of an invocation
const float kNone = -3.0e38;                                                  // below any score

shared float q_shared[kHeads * kHeadDim];
shared float weight[kHeads * gl_WorkGroupSize.x];  // scores of the tile's keys, then exp(score - maximum)
shared uint row_of[gl_WorkGroupSize.x];            // cache rows of the tile's keys

void main() {
    const uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x, token = gl_WorkGroupID.x;
    const uint first_head = gl_WorkGroupID.y * kHeads, kv_col = first_head / pc.heads_per_kv * kHeadDim;
    const uint n_keys = positions[pc.positions_at + token] + 1;
    const uint pages_at = pc.page_table_at + seqs[pc.seqs_at + token] * pc.max_pages;
    const uint tiles = (n_keys + lanes - 1) / lanes, tiles_per_split = (tiles + pc.n_splits - 1) / pc.n_splits;
    const uint begin = gl_WorkGroupID.z * tiles_per_split * lanes, end = min(n_keys, begin + tiles_per_split * lanes);

    for (uint i = lane; i < kHeads * kHeadDim; i += lanes) {
        q_shared[i] = pc.scale * q[pc.q_at + token * pc.q_stride + first_head * kHeadDim + i];
    }
    float maximum[kHeads], total[kHeads], sum[kHeads * kCols];
    for (uint h = 0; h < kHeads; ++h) {
        maximum[h] = kNone;
        total[h] = 0.0;
        for (uint c = 0; c < kCols; ++c) sum[h * kCols + c] = 0.0;
    }

    for (uint tile = begin; tile < end; tile += lanes) {
        const uint n = min(lanes, end - tile);
        barrier();
        if (lane < n) {
            const uint p = tile + lane;
            const uint row = min(page_table[pages_at + p / pc.page_tokens] * pc.page_tokens + p % pc.page_tokens, pc.n_cache_rows - 1);
            row_of[lane] = row;
            const uint key = pc.k_at + row * pc.k_stride + kv_col;
            float score[kHeads];
            for (uint h = 0; h < kHeads; ++h) score[h] = 0.0;
            for (uint i = 0; i < kHeadDim; ++i) {
                const float element = float(k[key + i]);
                for (uint h = 0; h < kHeads; ++h) score[h] += q_shared[h * kHeadDim + i] * element;
            }
            for (uint h = 0; h < kHeads; ++h) weight[h * lanes + lane] = score[h];
        }
        barrier();
        float rescale[kHeads];
        for (uint h = 0; h < kHeads; ++h) {
            float highest = maximum[h];
            for (uint j = 0; j < n; ++j) highest = max(highest, weight[h * lanes + j]);
            rescale[h] = exp(maximum[h] - highest);
            maximum[h] = highest;
            total[h] *= rescale[h];
            for (uint c = 0; c < kCols; ++c) sum[h * kCols + c] *= rescale[h];
        }
        barrier();
        if (lane < n) {
            for (uint h = 0; h < kHeads; ++h) weight[h * lanes + lane] = exp(weight[h * lanes + lane] - maximum[h]);
        }
        barrier();
        for (uint j = 0; j < n; ++j) {
            const uint value = pc.v_at + row_of[j] * pc.v_stride + kv_col;
            for (uint h = 0; h < kHeads; ++h) total[h] += weight[h * lanes + j];
            for (uint c = 0; c < kCols; ++c) {
                const uint col = lane + c * lanes;
                if (kHeadDim % lanes != 0 && col >= kHeadDim) break;
                const float element = float(v[value + col]);
                for (uint h = 0; h < kHeads; ++h) sum[h * kCols + c] += weight[h * lanes + j] * element;
            }
        }
    }

    for (uint h = 0; h < kHeads; ++h) {
        uint at = pc.out_at + token * pc.out_stride + (first_head + h) * kHeadDim;
        float factor = 1.0 / total[h];
        if (pc.n_splits > 1) {
            at = pc.out_at + ((token * pc.n_head + first_head + h) * pc.n_splits + gl_WorkGroupID.z) * (kHeadDim + 2);
            factor = 1.0;
            if (lane == 0) {
                result[at + kHeadDim] = maximum[h];
                result[at + kHeadDim + 1] = total[h];
            }
        }
        for (uint c = 0; c < kCols; ++c) {
            const uint col = lane + c * lanes;
            if (col < kHeadDim) result[at + col] = sum[h * kCols + c] * factor;
        }
    }
}
