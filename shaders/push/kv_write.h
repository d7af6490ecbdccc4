#ifndef ATLAS_PUSH_KV_WRITE_H
#define ATLAS_PUSH_KV_WRITE_H
#include "shaders/push/push.h"
#include "shaders/push/cache_format.h"

// *_cache_at, *_cache_stride: in units of 16 bytes (shaders/common/cache_layout.glsl).
ATLAS_PUSH_BEGIN(KvWritePush)
    uint k_width;  // n_head_kv * head_dim
    uint v_width;  // n_head_kv * v_head_dim
    uint k_at;
    uint k_stride;
    uint v_at;
    uint v_stride;
    uint k_cache_at;
    uint k_cache_stride;
    uint v_cache_at;
    uint v_cache_stride;
    uint slots_at;
    uint first_slot;  // cache row that the bound range begins with
    uint n_slots;     // rows of the bound range; a slot outside of it is not written
ATLAS_PUSH_END(KvWritePush)

#endif
