#ifndef ATLAS_PUSH_KV_WRITE_H
#define ATLAS_PUSH_KV_WRITE_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(KvWritePush)
    uint width;  // n_head_kv * head_dim
    uint k_at;
    uint k_stride;
    uint v_at;
    uint v_stride;
    uint k_cache_at;
    uint k_cache_stride;
    uint v_cache_at;
    uint v_cache_stride;
    uint slots_at;
    uint n_slots;  // rows of the cache; a slot past them is not written
ATLAS_PUSH_END(KvWritePush)

#endif
