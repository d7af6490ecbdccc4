#ifndef ATLAS_PUSH_SCALE_H
#define ATLAS_PUSH_SCALE_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(ScalePush)
    uint cols;
    uint x_at;
    uint x_stride;
    uint y_at;
    uint y_stride;
    float factor;  // beta of scale_by_position
    float cap;     // 0: none
    uint positions_at;  // the last two: only scale_by_position
    uint n_ctx;
ATLAS_PUSH_END(ScalePush)

#endif
