#ifndef ATLAS_PUSH_DELTA_NET_H
#define ATLAS_PUSH_DELTA_NET_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(DeltaNetPush)
    uint n_tokens;
    uint first_head;  // of this dispatch
    uint n_k_heads;
    uint heads_per_key;
    uint grouped;  // 1: head h of values uses head h / heads_per_key of keys; 0: h % n_k_heads
    float eps;
    uint q_at;
    uint q_stride;
    uint k_at;
    uint k_stride;
    uint v_at;
    uint v_stride;
    uint alpha_at;
    uint alpha_stride;
    uint beta_at;
    uint beta_stride;
    uint a_at;
    uint dt_bias_at;
    uint states_at;
    uint states_stride;
    uint y_at;
    uint y_stride;
    uint positions_at;
    uint seqs_at;
    uint before_at;
    uint after_at;
ATLAS_PUSH_END(DeltaNetPush)

#endif
