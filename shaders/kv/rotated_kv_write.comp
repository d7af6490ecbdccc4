#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// math: all steps between the projections and attention where the cache holds rotated heads: rope of q and k; then
//       every head times its matrix or the Hadamard matrix (k shifted too); q in place, k and v into their caches'
//       formats, with feedback where they have it.
//       See rope/rope.comp, kv/rotate_heads.comp, kv/hadamard.comp and kv/kv_write.comp, which do it one after the other.
// shapes: q [n_tokens, n_head * head_dim], k [n_tokens, n_head_kv * head_dim], v [n_tokens, n_head_kv * v_head_dim] f32; k and v are only read;
//         turn_k, turn_q, feedback_k [n_head_kv * head_dim, head_dim], turn_k_shift [n_head_kv * head_dim], turn_v and
//         feedback_v the same for v, f32.
// layout: see push/rope_kv_write.h; matrices are dense.
// grid: x: kHeads heads of q, of k, of v, at most 256 elements; y: token.
// requires: what kv_write and rope require; heads of at most 256, multiples of 32; with feedback a local size of at
//           least 32 and kHeads = 1.
// bound by: latency with few tokens; else reading the matrices, which caches hold.
// source: runtime/ops/ops.h, rope_kv_write; runtime/model/cache_rotation.h.
#include "common/types.glsl"
#include "common/half.glsl"
#include "common/cache_layout.glsl"
#include "common/cache_quantize.glsl"
#include "common/turns.glsl"
#include "shaders/push/rope_kv_write.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kKFormat = ATLAS_CACHE_F16;
layout(constant_id = 2) const uint kVFormat = ATLAS_CACHE_F16;
// How q and k, and v, are rotated: the block size of the Hadamard rotation; 1: not at all; 0: the fitted rotation.
layout(constant_id = 3) const uint kRotateK = 1;
layout(constant_id = 4) const uint kRotateV = 1;
layout(constant_id = 5) const uint kFeedbackK = 0;  // k is rounded with feedback
layout(constant_id = 6) const uint kFeedbackV = 0;
layout(constant_id = 7) const uint kHeads = 1;

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
layout(binding = 9, std430) readonly buffer TurnK { float turn_k[]; };
layout(binding = 10, std430) readonly buffer TurnKShift { float turn_k_shift[]; };
layout(binding = 11, std430) readonly buffer TurnQ { float turn_q[]; };
layout(binding = 12, std430) readonly buffer TurnV { float turn_v[]; };
layout(binding = 13, std430) readonly buffer FeedbackK { float feedback_k[]; };
layout(binding = 14, std430) readonly buffer FeedbackV { float feedback_v[]; };

shared float head[256];  // kHeads heads one after the other
shared float turned[256];

#include "kv/write_cache.glsl"
#include "rope/angle.glsl"
#include "kv/round_with_feedback.glsl"

const uint kQueries = 0u, kKeys = 1u, kValues = 2u;

uint n_head_kv() { return pc.k_width / pc.head_dim; }

float element(uint part, uint token, uint col) {
    if (part == kQueries) return q[pc.q_at + token * pc.q_stride + col];
    if (part == kKeys) return k[pc.k_at + token * pc.k_stride + col];
    return v[pc.v_at + token * pc.v_stride + col];
}

// Element i of head[] after rope.
float rotated(uint token, uint i) {
    const float own = head[i];
    const uint in_head = i % pc.head_dim;
    if (in_head >= 2u * pc.n_pairs) return own;
    const uint pair = pc.pair_distance == 1u ? in_head / 2u : in_head % pc.n_pairs;
    const bool is_first = in_head == pair * pc.pair_stride;
    const float other = head[is_first ? i + pc.pair_distance : i - pc.pair_distance];
    const vec2 cs = cos_sin_of(token, pair);
    return is_first ? own * cs.x - other * cs.y : other * cs.y + own * cs.x;
}

// n elements of turned[], keys from column `first_k` on or no keys, times the Hadamard matrix of every block.
void turn_by_hadamard(uint n, uint block, bool shifted, uint first_k, uint lane) {
    for (uint half_block = 1u; half_block < block; half_block *= 2u) {
        for (uint i = lane; i < n / 2u; i += gl_WorkGroupSize.x) {
            const uint a = i / half_block * 2u * half_block + i % half_block, b = a + half_block;
            const float low = turned[a], high = turned[b];
            turned[a] = low + high;
            turned[b] = low - high;
        }
        barrier();
    }
    const float scale = inversesqrt(float(block));
    for (uint i = lane; i < n; i += gl_WorkGroupSize.x) {
        turned[i] = turned[i] * scale + (shifted ? turn_k_shift[pc.turn_k_shift_at + first_k + i] : 0.0);
    }
    barrier();
}

float factor(uint part, uint i) {
    return part == kQueries ? turn_q[pc.turn_q_at + i] : part == kKeys ? turn_k[pc.turn_k_at + i] : turn_v[pc.turn_v_at + i];
}

// n elements of turned[], heads from `first` on, times the matrices of their groups.
void turn_by_matrix(uint part, uint first, uint n, uint dim, uint lane) {
    for (uint at = lane; at < n; at += gl_WorkGroupSize.x) {
        const uint index = first + at / dim, o = at % dim, group = part == kQueries ? index / (pc.n_head / n_head_kv()) : index;
        float sum = part == kKeys ? turn_k_shift[pc.turn_k_shift_at + group * dim + o] : 0.0;
        for (uint i = 0u; i < dim; ++i) sum += turned[at - o + i] * factor(part, (group * dim + i) * dim + o);
        head[at] = sum;
    }
    barrier();
    for (uint i = lane; i < n; i += gl_WorkGroupSize.x) turned[i] = head[i];
    barrier();
}

void main() {
    const uint token = gl_WorkGroupID.y, lane = gl_LocalInvocationID.x;
    const uint q_groups = (pc.n_head + kHeads - 1u) / kHeads, kv_groups = (n_head_kv() + kHeads - 1u) / kHeads;
    uint index = gl_WorkGroupID.x, part = kQueries;
    if (index >= q_groups) {
        index -= q_groups;
        part = index < kv_groups ? kKeys : kValues;
        index %= kv_groups;
    }
    const uint slot = slots[pc.slots_at + token], dim = part == kValues ? pc.v_width / n_head_kv() : pc.head_dim;
    if (part != kQueries && slot >= pc.n_slots) return;
    const uint first = index * kHeads, n = min(kHeads, (part == kQueries ? pc.n_head : n_head_kv()) - first) * dim;
    for (uint i = lane; i < n; i += gl_WorkGroupSize.x) head[i] = element(part, token, first * dim + i);
    barrier();
    for (uint i = lane; i < n; i += gl_WorkGroupSize.x) turned[i] = part == kValues ? head[i] : rotated(token, i);
    barrier();
    const uint turn = part == kValues ? kRotateV : kRotateK;
    if (turn == 0u) turn_by_matrix(part, first, n, dim, lane);
    else if (turn > 1u) turn_by_hadamard(n, turn, part == kKeys && pc.has_k_shift != 0u, first * dim, lane);
    if (part == kQueries) {
        for (uint i = lane; i < n; i += gl_WorkGroupSize.x) q[pc.q_at + token * pc.q_stride + first * dim + i] = turned[i];
        return;
    }
    const bool is_k = part == kKeys;
    const uint width = is_k ? pc.k_width : pc.v_width;
    const uint row_unit = is_k ? pc.k_cache_at + slot * pc.k_cache_stride : pc.v_cache_at + slot * pc.v_cache_stride;
    if ((is_k ? kFeedbackK : kFeedbackV) != 0u) {
        write_with_feedback(is_k ? kKFormat : kVFormat, is_k, first, dim, 4u * row_unit, width / 32u);
        return;
    }
    for (uint b = lane; b < n / 32u; b += gl_WorkGroupSize.x) {
        vec4 x[8];
        [[unroll]] for (uint i = 0u; i < 8u; ++i) {
            [[unroll]] for (uint j = 0u; j < 4u; ++j) x[i][j] = turned[b * 32u + 4u * i + j];
        }
        write_cache(is_k ? kKFormat : kVFormat, is_k, row_unit, first * dim / 32u + b, width, x);
    }
}
