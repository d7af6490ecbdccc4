#ifndef ATLAS_PUSH_ATTENTION_H
#define ATLAS_PUSH_ATTENTION_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(AttentionPush)
    uint q_at;
    uint q_stride;
    uint k_at;
    uint k_stride;
    uint v_at;
    uint v_stride;
    uint out_at;
    uint out_stride;  // from token to token; unused when n_splits > 1
    uint positions_at;
    uint seqs_at;
    uint page_table_at;
    uint max_pages;
    uint page_tokens;
    uint n_cache_rows;
    uint n_head;
    uint heads_per_kv;  // n_head / n_head_kv
    uint n_splits;
    float scale;
ATLAS_PUSH_END(AttentionPush)

#endif
