// The words of a tile in the table that sort_routes writes, for GLSL and C++.
#ifndef ATLAS_EXPERTS_TILE_H
#define ATLAS_EXPERTS_TILE_H
#ifdef __cplusplus
#include <cstdint>
namespace atlas::expert_tile {
using uint = std::uint32_t;
#endif
const uint kTileExpert = 0;
const uint kTileFirst = 1;  // of its pairs, in the sorted list
const uint kTileCount = 2;  // 0: no tile
const uint kTileWords = 3;
#ifdef __cplusplus
}  // namespace atlas::expert_tile
#endif
#endif
