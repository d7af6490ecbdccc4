#ifndef ATLAS_PUSH_HADAMARD_H
#define ATLAS_PUSH_HADAMARD_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(HadamardPush)
    uint cols;
    uint x_at;
    uint x_stride;
ATLAS_PUSH_END(HadamardPush)

#endif
