#ifndef ATLAS_PUSH_LAYER_NORM_H
#define ATLAS_PUSH_LAYER_NORM_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(LayerNormPush)
    uint cols;  // of a run that is normed for itself
    uint x_at;
    uint x_stride;
    uint gain_at;
    uint gain_stride;  // from one run's gains to the next's
    uint bias_at;
    uint y_at;
    uint y_stride;
    uint has_bias;
    float eps;
ATLAS_PUSH_END(LayerNormPush)

#endif
