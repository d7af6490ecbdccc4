#ifndef ATLAS_PUSH_GATED_MUL_H
#define ATLAS_PUSH_GATED_MUL_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(GatedMulPush)
    uint cols;  // of y
    uint gate_at;
    uint gate_stride;
    uint gate_repeat;  // columns of y for each of the gate
    uint up_at;
    uint up_stride;
    uint y_at;
    uint y_stride;
ATLAS_PUSH_END(GatedMulPush)

#endif
