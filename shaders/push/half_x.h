#ifndef ATLAS_PUSH_HALF_X_H
#define ATLAS_PUSH_HALF_X_H
#include "shaders/push/push.h"

// Activations as halves (XKind::f16): a row is n_in halves, zeros up to a multiple of 64, then 16 bytes of which the first four are the
// row's scale as a float: x = half * scale. The scale is a power of two that brings the row's largest magnitude to 2^14 .. 2^15.
ATLAS_PUSH_BEGIN(HalfXPush)
    uint n_in;
    uint x_at;
    uint x_stride;
    uint h_at;      // units of 16 bytes (8 halves)
    uint h_stride;  // the same unit, from row to row: n_in rounded up to 64, / 8, + 1
ATLAS_PUSH_END(HalfXPush)

#endif
