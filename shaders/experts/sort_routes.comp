#version 460
#extension GL_GOOGLE_include_directive : require
// math: the pairs of a token and one of its experts, sorted by expert and cut into tiles of one expert each.
// shapes: routes [n_tokens, 2 n_used] f32; the table, see push/sort_routes.h.
// layout: in words.
// grid: one workgroup. It counts the pairs of every expert, adds the counts up, and puts each pair at its expert's next place. The order within
//       an expert is left to chance: no result depends on it.
// requires: Vulkan 1.2; at most 512 experts.
// bound by: latency; prompts only.
// source: counting sort.
#include "shaders/experts/tile.h"
#include "shaders/push/sort_routes.h"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) readonly buffer Routes { float routes[]; };
layout(binding = 1, std430) writeonly buffer Table { uint table[]; };

const uint kMostExperts = 512;
shared uint count[kMostExperts];
shared uint next[kMostExperts];        // where the next pair of an expert goes
shared uint first_tile[kMostExperts];  // of an expert
shared uint n_tiles;

uint expert_of(uint pair) {
    return min(uint(routes[pc.routes_at + pair / pc.n_used * pc.routes_stride + pair % pc.n_used]), pc.n_experts - 1);
}

void main() {
    const uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x, n_pairs = pc.n_tokens * pc.n_used;
    for (uint e = lane; e < pc.n_experts; e += lanes) count[e] = 0;
    barrier();
    for (uint pair = lane; pair < n_pairs; pair += lanes) atomicAdd(count[expert_of(pair)], 1);
    barrier();
    if (lane == 0) {
        uint pairs = 0, tiles = 0;
        for (uint e = 0; e < pc.n_experts; ++e) {
            next[e] = pairs;
            first_tile[e] = tiles;
            pairs += count[e];
            tiles += (count[e] + pc.tile_columns - 1) / pc.tile_columns;
        }
        n_tiles = tiles;
    }
    barrier();
    for (uint e = lane; e < pc.n_experts; e += lanes) {
        for (uint done = 0, tile = first_tile[e]; done < count[e]; done += pc.tile_columns, ++tile) {
            const uint at = pc.table_at + tile * kTileWords;
            table[at + kTileExpert] = e;
            table[at + kTileFirst] = next[e] + done;
            table[at + kTileCount] = min(count[e] - done, pc.tile_columns);
        }
    }
    for (uint tile = n_tiles + lane; tile < pc.n_tiles; tile += lanes) table[pc.table_at + tile * kTileWords + kTileCount] = 0;
    barrier();
    for (uint pair = lane; pair < n_pairs; pair += lanes) {
        table[pc.table_at + pc.n_tiles * kTileWords + atomicAdd(next[expert_of(pair)], 1)] = pair;
    }
}
