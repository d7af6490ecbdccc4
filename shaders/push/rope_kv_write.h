#ifndef ATLAS_PUSH_ROPE_KV_WRITE_H
#define ATLAS_PUSH_ROPE_KV_WRITE_H
#include "shaders/push/push.h"
#include "shaders/push/cache_format.h"

// As in rope.h and kv_write.h. Heads of q and k have the same size.
ATLAS_PUSH_BEGIN(RopeKvWritePush)
    uint q_at;
    uint q_stride;
    uint k_at;
    uint k_stride;
    uint v_at;
    uint v_stride;
    uint positions_at;
    uint turns_at;  // uvec2 elements
    uint factors_at;
    uint has_factors;
    uint n_head;    // of q; 0: there is no q
    uint head_dim;
    uint n_pairs;   // 0: no rope
    uint pair_stride;
    uint pair_distance;
    float magnitude;
    uint k_width;
    uint v_width;
    uint k_cache_at;
    uint k_cache_stride;
    uint v_cache_at;
    uint v_cache_stride;
    uint slots_at;
    uint n_slots;
    // As in rotate_heads.h; for rotated_kv_write only.
    uint turn_k_at;
    uint turn_k_shift_at;
    uint turn_q_at;
    uint turn_v_at;
    uint feedback_k_at;
    uint feedback_v_at;
    uint has_k_shift;  // where the Hadamard matrix rotates keys
ATLAS_PUSH_END(RopeKvWritePush)

#endif
