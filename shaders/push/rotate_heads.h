#ifndef ATLAS_PUSH_TURN_HEADS_H
#define ATLAS_PUSH_TURN_HEADS_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(TurnHeadsPush)
    uint x_at;
    uint x_stride;
    uint w_at;
    uint shift_at;
    uint has_shift;
    uint head_dim;
    uint heads_per_group;
ATLAS_PUSH_END(TurnHeadsPush)

#endif
