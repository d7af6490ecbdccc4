// The walk of a workgroup over the keys that its block of rows sees: first those that all of the block's sequences
// share, then those of each run of tokens of one sequence. Every invocation takes the same path, so that a tile may
// hold barriers. For kernels without subgroup operations.
// Declare before including it: kTile (keys at a time; chunk_keys is a multiple) and
//   void take_tile(uint pages_at, uint tile, uint end, uvec2 seen, uint head_kv), which takes the keys
//   tile .. tile + kTile - 1 of the sequence whose pages begin at pages_at; none is >= end; the invocation's row sees
//   those in `seen`.
#ifndef ATLAS_ATTENTION_RUNS_GLSL
#define ATLAS_ATTENTION_RUNS_GLSL

// The tiles of this split among the keys from .. end - 1. `mine`: the row belongs to a token that reads them.
void take_keys(uint pages_at, uint from, uint end, uvec2 seen, bool mine, uint head_kv) {
    if (!mine) seen = uvec2(0u);
    seen = uvec2(max(seen.x, from), min(seen.y, end));
    const uint split = pc.first_split + gl_WorkGroupID.z, first_chunk = from / pc.chunk_keys;
    // The first chunk of this split that is not before the range.
    uint chunk = first_chunk + (split + pc.n_splits - first_chunk % pc.n_splits) % pc.n_splits;
    for (; chunk * pc.chunk_keys < end; chunk += pc.n_splits) {
        const uint tile_from = max(chunk * pc.chunk_keys, from / kTile * kTile), tile_end = min((chunk + 1u) * pc.chunk_keys, end);
        for (uint tile = tile_from; tile < tile_end; tile += kTile) take_tile(pages_at, tile, end, seen, head_kv);
    }
}

// `token`, `seen`: of the invocation's row.
void take_block(uint first_token, uint last_token, uint token, uvec2 seen, uint head_kv) {
    const uint common_keys = shared_keys(kTile);
    uint run = first_token;
    bool whole = common_keys > 0u;
    while (run <= last_token) {
        uint end_token = run + 1u;
        uvec2 range = keys_of(run);
        while (end_token <= last_token && (whole || seqs[pc.seqs_at + end_token] == seqs[pc.seqs_at + run])) {
            const uvec2 more = keys_of(end_token);
            range = uvec2(min(range.x, more.x), max(range.y, more.y));
            ++end_token;
        }
        if (whole) range.y = min(range.y, common_keys);
        else range.x = max(range.x, common_keys);
        take_keys(pages_of(run), range.x, range.y, seen, token >= run && token < end_token, head_kv);
        if (!whole) run = end_token;
        whole = false;
    }
}
#endif
