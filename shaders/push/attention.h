#ifndef ATLAS_PUSH_ATTENTION_H
#define ATLAS_PUSH_ATTENTION_H
#include "shaders/push/push.h"
#include "shaders/push/cache_format.h"

// k_*, v_*: in units of 16 bytes, the unit of the cache (shaders/common/cache_layout.glsl).
ATLAS_PUSH_BEGIN(AttentionPush)
    uint q_at;
    uint q_stride;
    uint k_at;
    uint k_stride;
    uint v_at;
    uint v_stride;
    uint v_width;  // elements of a row of V's cache; where V is a view of K, of K's
    uint out_at;
    uint out_stride;  // from token to token; unused when parts are written
    uint positions_at;
    uint seqs_at;
    uint page_table_at;
    uint max_pages;
    uint shared_at;  // of the one number; unused without has_shared
    uint sinks_at;
    uint has_shared;
    uint has_sinks;
    uint n_tokens;
    uint n_head;
    uint n_cache_rows;   // rows in the bound range
    uint first_row;      // cache row that the bound range begins with: keys in rows outside of it are not of this dispatch
    uint n_splits;       // 1: y is written; more: parts [n_tokens, n_head, n_splits, value_dim + 2]
    uint first_split;    // gl_WorkGroupID.z 0 is this one
    uint chunk_keys;     // the keys c * chunk_keys .. belong to split c % n_splits; a multiple of every kernel's tile of keys
    uint window;         // 0: all keys
    float scale;
    float softcap;       // 0: off
ATLAS_PUSH_END(AttentionPush)

#endif
