#ifndef ATLAS_PUSH_CAUSAL_CONV_H
#define ATLAS_PUSH_CAUSAL_CONV_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(CausalConvPush)
    uint n;            // columns
    uint first_token;  // of this dispatch
    uint x_at;
    uint x_stride;
    uint w_at;
    uint w_stride;
    uint b_at;
    uint has_b;
    uint silu;
    uint states_at;
    uint states_stride;
    uint y_at;
    uint y_stride;
    uint positions_at;
    uint seqs_at;
    uint before_at;
    uint after_at;
ATLAS_PUSH_END(CausalConvPush)

#endif
