#ifndef ATLAS_PUSH_EXPERTS_H
#define ATLAS_PUSH_EXPERTS_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(ExpertsPush)
    uint n_out;  // rows of this part of an expert's matrix
    uint n_in;
    uint n_tokens;
    uint n_used;
    uint first_expert;  // of the bound part of w
    uint n_experts;     // in it
    uint w_at_blocks;   // first block of the first expert's first row
    uint w_stride_blocks;
    uint expert_stride_blocks;
    uint up_rows;        // from a row of the gate to its row of the other matrix
    uint x_at;
    uint x_stride;
    uint x_token_rows;   // the j-th choice of token t reads row t * x_token_rows + j * x_choice_rows of x ..
    uint x_choice_rows;
    uint y_at;
    uint y_stride;
    uint y_token_rows;   // .. and writes row t * y_token_rows + j * y_choice_rows of y
    uint y_choice_rows;
    uint routes_at;
    uint routes_stride;
    uint list_at;        // the sorted list of pairs, in words from the table's beginning
    uint has;            // kHas*: which operands there are
    uint b_at;           // of the part's first row, of expert 0
    uint b_stride;
    uint up_b_at;
    uint up_b_stride;
    uint scale_at;
    uint up_scale_at;
ATLAS_PUSH_END(ExpertsPush)

#ifdef __cplusplus
namespace atlas::push {
#endif
const uint kHasBias = 1;
const uint kHasUpBias = 2;
const uint kHasScale = 4;
const uint kHasUpScale = 8;
const uint kHasWeights = 16;  // results are multiplied with the weights of the routes
#ifdef __cplusplus
}  // namespace atlas::push
#endif

#endif
