// The products of a mat-vec or matmul shader become products of experts (EXPERTS defined): columns are pairs of a token and one of its experts,
// and all columns of a workgroup have the same expert, whose matrices are read once for all of them.
// kSorted: a workgroup's columns are a tile of sort_routes' table. Else, for at most 24 tokens, gl_WorkGroupID.y is a pair: the first one with
// its expert finds all the others, the rest have nothing to do.
// kGated: the second half of the rows are those of `up`; results are activation(gate) * up, else activation(result).
// Before it: EXPERTS_ID, the first free number of a specialization constant.
#ifndef ATLAS_EXPERTS_COLUMNS_GLSL
#define ATLAS_EXPERTS_COLUMNS_GLSL
#include "common/activation.glsl"
#include "shaders/experts/tile.h"

layout(constant_id = EXPERTS_ID) const uint kGated = 0;
layout(constant_id = EXPERTS_ID + 1) const uint kActivation = 0;
layout(constant_id = EXPERTS_ID + 2) const uint kSorted = 0;

layout(binding = 4, std430) readonly buffer Routes { float routes[]; };
layout(binding = 5, std430) readonly buffer Table { uint table[]; };
layout(binding = 6, std430) readonly buffer UpB { float up_b[]; };
layout(binding = 7, std430) readonly buffer Scale { float scale[]; };
layout(binding = 8, std430) readonly buffer UpScale { float up_scale[]; };

const uint kMostColumns = 64;  // of a tile; more than the 24 that are not sorted
const uint kNoPair = 0xFFFFFFFFu;
shared uint chosen[kMostColumns];  // by token: its pair with the expert
shared uint column_pair[kMostColumns];
uint expert, n_columns;

// False: nothing to do. The same for all invocations of the workgroup.
bool find_columns() {
    const uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
    if (kSorted != 0) {
        const uint tile = gl_WorkGroupID.y * kTileWords;
        expert = table[tile + kTileExpert];
        n_columns = table[tile + kTileCount];
        if (n_columns == 0) return false;
        for (uint c = lane; c < n_columns; c += lanes) column_pair[c] = table[pc.list_at + table[tile + kTileFirst] + c];
        barrier();
    } else {
        const uint own = gl_WorkGroupID.y;
        expert = uint(routes[pc.routes_at + own / pc.n_used * pc.routes_stride + own % pc.n_used]);
        for (uint t = lane; t < pc.n_tokens; t += lanes) {
            uint found = kNoPair;
            for (uint j = 0; j < pc.n_used; ++j) {
                if (uint(routes[pc.routes_at + t * pc.routes_stride + j]) == expert) found = t * pc.n_used + j;
            }
            chosen[t] = found;
        }
        barrier();
        n_columns = 0;
        for (uint t = 0; t < pc.n_tokens; ++t) {
            if (chosen[t] == kNoPair) continue;
            column_pair[n_columns] = chosen[t];  // all invocations write the same
            ++n_columns;
        }
        barrier();
        if (n_columns == 0 || column_pair[0] != own) return false;
    }
    return expert >= pc.first_expert && expert - pc.first_expert < pc.n_experts;
}

uint x_row_at(uint column) {
    const uint pair = column_pair[column];
    return pc.x_at + (pair / pc.n_used * pc.x_token_rows + pair % pc.n_used * pc.x_choice_rows) * pc.x_stride;
}

// First block of a row of the expert's matrix, or with `up` of the other one.
uint w_row_at(uint row, bool up) {
    return pc.w_at_blocks + (expert - pc.first_expert) * pc.expert_stride_blocks + (row + (up ? pc.up_rows : 0)) * pc.w_stride_blocks;
}

// sum, up_sum: the products with row `row` of the expert's matrices.
void store_expert(uint column, uint row, float sum, float up_sum) {
    if (row >= pc.n_out || column >= n_columns) return;
    const uint pair = column_pair[column], token = pair / pc.n_used, choice = pair % pc.n_used;
    if ((pc.has & kHasScale) != 0) sum *= scale[pc.scale_at + expert];
    if ((pc.has & kHasBias) != 0) sum += b[pc.b_at + expert * pc.b_stride + row];
    float result = activated(kActivation, sum);
    if (kGated != 0) {
        if ((pc.has & kHasUpScale) != 0) up_sum *= up_scale[pc.up_scale_at + expert];
        if ((pc.has & kHasUpBias) != 0) up_sum += up_b[pc.up_b_at + expert * pc.up_b_stride + row];
        result *= gate_factor(kActivation, up_sum);
    }
    if ((pc.has & kHasWeights) != 0) result *= routes[pc.routes_at + token * pc.routes_stride + pc.n_used + choice];
    y[pc.y_at + (token * pc.y_token_rows + choice * pc.y_choice_rows) * pc.y_stride + row] = result;
}
#endif
