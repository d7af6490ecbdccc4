// The walk of a workgroup over the keys that its block of rows sees, tile by tile: first those that all of the block's sequences share, then
// those of each run of tokens of one sequence. For kernels of whole subgroups: every subgroup finds the same numbers by itself.
// Before it: kKeys (of a tile; chunk_keys is a multiple) and kSubgroup.
#ifndef ATLAS_ATTENTION_WALK_GLSL
#define ATLAS_ATTENTION_WALK_GLSL

uint next_token, end_token;             // of the block, still to do
uint run_begin, run_end;                // tokens whose keys are walked now
uint run_pages, key_begin, key_end;     // where their pages are listed; the keys that any of them sees
uint from_key;                          // below it the keys are done for all tokens of the block
uint tile;                              // first key of the tile

void begin_walk(uint first_token, uint last_token) {
    next_token = first_token;
    end_token = last_token + 1;
    from_key = 0;
}

// The first tile at or after this key that belongs to the split.
uint tile_of_split(uint key) {
    const uint first = key / kKeys * kKeys, chunk = first / pc.chunk_keys, split = pc.first_split + gl_WorkGroupID.z;
    const uint skipped = (split + pc.n_splits - chunk % pc.n_splits) % pc.n_splits;
    return skipped == 0 ? first : (chunk + skipped) * pc.chunk_keys;
}

// Sets the next run that has keys in this split, and its first tile. False: all is done.
bool next_run() {
    while (next_token < end_token) {
        run_begin = next_token;
        const uint seq = seqs[pc.seqs_at + run_begin], lane = gl_SubgroupInvocationID;
        uint other = end_token;
        for (uint t = run_begin + lane; t < end_token; t += kSubgroup) {
            if (seqs[pc.seqs_at + t] != seq) other = min(other, t);
        }
        run_end = subgroupMin(other);
        uint keys_in_common = from_key == 0 && run_end < end_token ? shared_keys(kKeys) : 0;
        if (keys_in_common > 0) run_end = end_token;
        else next_token = run_end;
        uvec2 range = uvec2(0xFFFFFFFFu, 0);
        for (uint t = run_begin + lane; t < run_end; t += kSubgroup) {
            const uvec2 keys = keys_of(t);
            range = uvec2(min(range.x, keys.x), max(range.y, keys.y));
        }
        key_begin = max(subgroupMin(range.x), from_key);
        key_end = subgroupMax(range.y);
        if (keys_in_common > 0) key_end = min(key_end, from_key = keys_in_common);
        run_pages = pages_of(run_begin);
        tile = tile_of_split(key_begin);
        if (tile < key_end) return true;
    }
    return false;
}

// Goes to the next tile of this split, in this run or the next. False: all is done.
bool next_tile() {
    tile = tile_of_split(tile + kKeys);
    return tile < key_end || next_run();
}

// Which keys of this run a token sees, from .. end - 1, if it sees these of its sequence.
uvec2 seen_in_run(uint token, uvec2 keys) {
    if (token < run_begin || token >= run_end) return uvec2(0);
    return uvec2(max(keys.x, key_begin), min(keys.y, key_end));
}
#endif
