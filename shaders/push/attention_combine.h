#ifndef ATLAS_PUSH_ATTENTION_COMBINE_H
#define ATLAS_PUSH_ATTENTION_COMBINE_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(AttentionCombinePush)
    uint part_at;
    uint y_at;
    uint y_stride;
    uint sinks_at;
    uint has_sinks;
    uint n_head;
    uint value_dim;
    uint n_splits;
ATLAS_PUSH_END(AttentionCombinePush)

#endif
