#ifndef ATLAS_PUSH_RMS_NORM_H
#define ATLAS_PUSH_RMS_NORM_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(RmsNormPush)
    uint cols;
    uint x_at;
    uint x_stride;
    uint gain_at;
    uint y_at;
    uint y_stride;
    float eps;
    uint b_at;  // the last four: only add_rms_norm
    uint b_stride;
    uint sum_at;
    uint sum_stride;
ATLAS_PUSH_END(RmsNormPush)

#endif
