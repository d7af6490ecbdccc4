#ifndef ATLAS_PUSH_SORT_ROUTES_H
#define ATLAS_PUSH_SORT_ROUTES_H
#include "shaders/push/push.h"

// The table that sort_routes writes: n_tiles tiles of kTileWords words, then the pairs of a token and one of its experts, sorted by expert;
// pair token * n_used + j is the j-th choice of a token.
ATLAS_PUSH_BEGIN(SortRoutesPush)
    uint n_experts;
    uint n_tokens;
    uint n_used;
    uint routes_at;
    uint routes_stride;
    uint table_at;
    uint n_tiles;       // as many as there can be
    uint tile_columns;  // pairs of a tile, which all have one expert
ATLAS_PUSH_END(SortRoutesPush)

#endif
