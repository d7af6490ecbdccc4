// What every attention kernel shares: constants, bindings, the cache, and which keys a row of queries sees.
// Row r of KV head g is query head g * kGroup + r % kGroup of token r / kGroup, so that the rows of a token lie side by side.
// A kernel declares its own constants from id 8 on; its workgroup (x, y, z) takes a block of rows of KV head y and the split z.
#ifndef ATLAS_ATTENTION_COMMON_GLSL
#define ATLAS_ATTENTION_COMMON_GLSL
#include "common/types.glsl"
#include "common/cache_layout.glsl"
#include "shaders/push/attention.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kHeadDim = 64;   // of q and k
layout(constant_id = 2) const uint kValueDim = 64;  // of v and y
layout(constant_id = 3) const uint kGroup = 1;      // query heads of a KV head
layout(constant_id = 4) const uint kKFormat = ATLAS_CACHE_F16;
layout(constant_id = 5) const uint kVFormat = ATLAS_CACHE_F16;
layout(constant_id = 6) const uint kPageTokens = 32;
layout(constant_id = 7) const uint kRows = 8;  // of queries in a block

layout(binding = 0, std430) readonly buffer Q { float q[]; };
layout(binding = 1, std430) readonly buffer KUnits { uvec4 k_units[]; };
layout(binding = 1, std430) readonly buffer KPairs { uvec2 k_pairs[]; };
layout(binding = 1, std430) readonly buffer KWords { uint k_words[]; };
layout(binding = 2, std430) readonly buffer VUnits { uvec4 v_units[]; };
layout(binding = 2, std430) readonly buffer VPairs { uvec2 v_pairs[]; };
layout(binding = 2, std430) readonly buffer VWords { uint v_words[]; };
layout(binding = 3, std430) readonly buffer Positions { uint positions[]; };
layout(binding = 4, std430) readonly buffer Seqs { uint seqs[]; };
layout(binding = 5, std430) readonly buffer Pages { uint page_table[]; };
layout(binding = 6, std430) readonly buffer Shared { uint shared_positions[]; };
layout(binding = 7, std430) readonly buffer Sinks { float sinks[]; };
layout(binding = 8, std430) writeonly buffer Out { float result[]; };

#define CACHE_LOAD8 k_load8
#define CACHE_LOAD16 k_load16
#define CACHE_FORMAT kKFormat
#define CACHE_WIDTH (pc.n_head / kGroup * kHeadDim)
#define CACHE_UNITS k_units
#define CACHE_PAIRS k_pairs
#define CACHE_WORDS k_words
#include "common/cache_read.glsl"
#define CACHE_LOAD8 v_load8
#define CACHE_LOAD16 v_load16
#define CACHE_FORMAT kVFormat
#define CACHE_WIDTH pc.v_width
#define CACHE_UNITS v_units
#define CACHE_PAIRS v_pairs
#define CACHE_WORDS v_words
#include "common/cache_read.glsl"

const float kNoScore = -3.0e38;  // below any score: of a key that a row does not see

// The keys that a token sees: positions x .. y - 1.
uvec2 keys_of(uint token) {
    const uint end = positions[pc.positions_at + token] + 1u;
    return uvec2(pc.window != 0u && end > pc.window ? end - pc.window : 0u, end);
}

// Up to here all tokens of the step read the same cache rows; a multiple of `tile`, so that tiles begin at the same keys for every step.
uint shared_keys(uint tile) { return pc.has_shared == 0u ? 0u : shared_positions[pc.shared_at] / tile * tile; }

// Where the pages of a token's sequence are listed.
uint pages_of(uint token) { return pc.page_table_at + seqs[pc.seqs_at + token] * pc.max_pages; }

// The cache row of position p, counted from the start of the bound range. Rows outside of it give numbers >= n_cache_rows.
uint cache_row(uint pages_at, uint p) { return page_table[pages_at + p / kPageTokens] * kPageTokens + p % kPageTokens - pc.first_row; }

float soft_capped(float score) {
    if (pc.softcap == 0.0) return score;
    const float e = exp(-2.0 * abs(score / pc.softcap));
    const float bent = pc.softcap * (1.0 - e) / (1.0 + e);
    return score < 0.0 ? -bent : bent;
}

// Where a row's result begins: of y, or of its part.
uint result_at(uint token, uint head, uint split) {
    if (pc.n_splits == 1u) return pc.out_at + token * pc.out_stride + head * kValueDim;
    return pc.out_at + ((token * pc.n_head + head) * pc.n_splits + split) * (kValueDim + 2u);
}
#endif
