#ifndef ATLAS_PUSH_ELEMENTWISE_H
#define ATLAS_PUSH_ELEMENTWISE_H
#include "shaders/push/push.h"

// y = f(a, b), matrices of the same shape; b_stride 0 repeats one row.
ATLAS_PUSH_BEGIN(ElementwisePush)
    uint cols;
    uint a_at;
    uint a_stride;
    uint b_at;
    uint b_stride;
    uint y_at;
    uint y_stride;
ATLAS_PUSH_END(ElementwisePush)

#endif
