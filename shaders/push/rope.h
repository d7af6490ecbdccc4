#ifndef ATLAS_PUSH_ROPE_H
#define ATLAS_PUSH_ROPE_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(RopePush)
    uint x_at;
    uint x_stride;
    uint positions_at;
    uint turns_at;  // uvec2 elements
    uint factors_at;
    uint has_factors;
    uint n_head;
    uint head_dim;
    uint n_pairs;        // n_rot / 2
    uint pair_stride;    // from pair i's first element to pair i+1's: 2 (adjacent) or 1 (halves)
    uint pair_distance;  // between the two elements of a pair: 1 (adjacent) or n_rot/2 (halves)
    float magnitude;     // multiplies sin and cos
ATLAS_PUSH_END(RopePush)

#endif
