#ifndef ATLAS_PUSH_SUM_SPLITS_H
#define ATLAS_PUSH_SUM_SPLITS_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(SumSplitsPush)
    uint n_splits;
    uint n_tokens;
    uint n_out;
    uint part_at;  // row s * n_tokens + t of the partial sums is split s of token t; rows are dense
    uint y_at;
    uint y_stride;
    uint has_b;     // 1: b is added
    uint b_at;
    uint b_stride;  // 0: one row for all tokens (a bias)
ATLAS_PUSH_END(SumSplitsPush)

#endif
