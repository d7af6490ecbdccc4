#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// math: rope of every head of q, in place; k_cache[slots[t], :] = rope(k[t, :]), v_cache[slots[t], :] = v[t, :] in the caches' formats.
//       See rope/rope.comp and kv/kv_write.comp, which do it one after the other.
// shapes: q [n_tokens, n_head * head_dim], k [n_tokens, k_width], v [n_tokens, v_width] f32; k is only read.
// layout: see push/rope_kv_write.h.
// grid: z = 0: x covers pairs of q's heads, one per invocation; z = 1, 2: a workgroup takes kBlocks blocks of 32 elements of k, of v, which
//       all its invocations rotate and kBlocks of them write; y: token.
// requires: what kv_write and rope require; kBlocks at most the local size.
// bound by: latency with few tokens; else memory bandwidth.
// source: runtime/ops/ops.h, rope_kv_write.
#include "common/types.glsl"
#include "common/half.glsl"
#include "common/cache_layout.glsl"
#include "common/cache_quantize.glsl"
#include "common/turns.glsl"
#include "shaders/push/rope_kv_write.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kKFormat = ATLAS_CACHE_F16;
layout(constant_id = 2) const uint kVFormat = ATLAS_CACHE_F16;
layout(constant_id = 3) const uint kBlocks = 1;

layout(binding = 0, std430) buffer Q { float q[]; };
layout(binding = 1, std430) readonly buffer K { float k[]; };
layout(binding = 2, std430) readonly buffer V { float v[]; };
layout(binding = 3, std430) writeonly buffer KCache { uint k_words[]; };
layout(binding = 3, scalar) writeonly buffer KCacheHalves { uint16_t k_halves[]; };
layout(binding = 4, std430) writeonly buffer VCache { uint v_words[]; };
layout(binding = 4, scalar) writeonly buffer VCacheHalves { uint16_t v_halves[]; };
layout(binding = 5, std430) readonly buffer Slots { uint slots[]; };
layout(binding = 6, std430) readonly buffer Positions { uint positions[]; };
layout(binding = 7, std430) readonly buffer Turns { uvec2 turns[]; };
layout(binding = 8, std430) readonly buffer Factors { float factors[]; };

#include "kv/write_cache.glsl"
#include "rope/angle.glsl"

shared float tile[kBlocks * 33];  // a gap after each block: neighbouring lanes read different banks

void rotate_q(uint token, uint i) {
    const uint head = i / pc.n_pairs, pair = i % pc.n_pairs;
    if (head >= pc.n_head) return;
    const vec2 cs = cos_sin_of(token, pair);
    const uint first = pc.q_at + token * pc.q_stride + head * pc.head_dim + pair * pc.pair_stride;
    const uint second = first + pc.pair_distance;
    const float x0 = q[first], x1 = q[second];
    q[first] = x0 * cs.x - x1 * cs.y;
    q[second] = x0 * cs.y + x1 * cs.x;
}

// Element `col` of the rotated row of k.
float rotated_k(uint token, uint col) {
    const uint row = pc.k_at + token * pc.k_stride, in_head = col % pc.head_dim;
    const float own = k[row + col];
    if (in_head >= 2u * pc.n_pairs) return own;
    // Neighbours are a pair, or elements half a rotated head apart.
    const uint pair = pc.pair_distance == 1u ? in_head / 2u : in_head % pc.n_pairs;
    const bool is_first = in_head == pair * pc.pair_stride;
    const float other = k[row + (is_first ? col + pc.pair_distance : col - pc.pair_distance)];
    const vec2 cs = cos_sin_of(token, pair);
    return is_first ? own * cs.x - other * cs.y : other * cs.y + own * cs.x;
}

void main() {
    const uint token = gl_WorkGroupID.y, part = gl_WorkGroupID.z, lane = gl_LocalInvocationID.x;
    if (part == 0u) {
        rotate_q(token, gl_GlobalInvocationID.x);
        return;
    }
    const bool is_k = part == 1u;
    const uint width = is_k ? pc.k_width : pc.v_width, first_block = gl_WorkGroupID.x * kBlocks;
    for (uint i = lane; i < kBlocks * 32u; i += gl_WorkGroupSize.x) {
        const uint col = first_block * 32u + i;
        if (col < width) tile[i / 32u * 33u + i % 32u] = is_k ? rotated_k(token, col) : v[pc.v_at + token * pc.v_stride + col];
    }
    barrier();
    const uint block = first_block + lane, slot = slots[pc.slots_at + token];
    if (lane >= kBlocks || block * 32u >= width || slot >= pc.n_slots) return;
    vec4 x[8];
    [[unroll]] for (uint i = 0u; i < 8u; ++i) {
        [[unroll]] for (uint j = 0u; j < 4u; ++j) x[i][j] = block * 32u + 4u * i < width ? tile[lane * 33u + 4u * i + j] : 0.0;
    }
    const uint row_unit = is_k ? pc.k_cache_at + slot * pc.k_cache_stride : pc.v_cache_at + slot * pc.v_cache_stride;
    write_cache(is_k ? kKFormat : kVFormat, is_k, row_unit, block, width, x);
}
