#ifndef ATLAS_PUSH_MATMUL_H
#define ATLAS_PUSH_MATMUL_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(MatmulPush)
    uint n_out;            // rows of this part of w
    uint n_in;             // columns of w
    uint n_tokens;         // rows of x
    uint w_at_blocks;      // first block of the part's first row
    uint w_stride_blocks;  // from row to row
    uint x_at;
    uint x_stride;
    uint y_at;
    uint y_stride;
    uint has_b;     // 1: b is added
    uint b_at;
    uint b_stride;  // 0: one row for all tokens (a bias)
    uint up_rows;   // matvec_gated: from a row of the gate to its row of the other matrix
    uint split_columns;  // columns of w per workgroup in z, a multiple of 64 or all; split s writes rows s * n_tokens .. of y
ATLAS_PUSH_END(MatmulPush)

#endif
