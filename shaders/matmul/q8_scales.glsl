// What a tile of 8-bit products needs besides the codes: scales and addends of weights and activations, in shared
// memory as floats, runs outermost. Requires kTileOut, kTileTokens, kRuns, a dot form, MatmulPush and the binding
// x_scales.
const uint kParts = kRuns * kDotScales;        // of a step of a row: runs, or halves of runs, that share a scale
const uint kLows = kDotHasLow ? kParts : 0;
shared float w_scale[kParts * kTileOut];
shared float w_low[kLows * kTileOut + 1];
shared float x_scale[kRuns * kTileTokens];
shared float x_sum[kLows * kTileTokens + 1];  // scale * sum of the codes that share an addend

void store_w_scales(uint r, uint row, vec2 scale, vec2 low) {
    for (uint s = 0; s < kDotScales; ++s) {
        w_scale[(r * kDotScales + s) * kTileOut + row] = scale[s];
        if (kDotHasLow) w_low[(r * kDotScales + s) * kTileOut + row] = low[s];
    }
}

// Runs past the end of the row have a scale of zero, and so add nothing.
void load_x_scales(uint first_token, uint first_run, uint n_runs) {
    for (uint unit = gl_LocalInvocationID.x; unit < kTileTokens * kRuns; unit += gl_WorkGroupSize.x) {
        const uint t = unit / kRuns, r = unit % kRuns;
        const uint row = min(first_token + t, pc.n_tokens - 1) * pc.x_stride;
        const uvec2 stored = x_scales[pc.x_at + row + min(first_run + r, n_runs - 1)];
        const float scale = first_run + r < n_runs ? uintBitsToFloat(stored.x) : 0.0;
        x_scale[r * kTileTokens + t] = scale;
        const int first = bitfieldExtract(int(stored.y), 0, 16), second = int(stored.y) >> 16;
        if (kDotHasLow && kDotScales == 1) x_sum[r * kTileTokens + t] = scale * float(first + second);
        if (kDotHasLow && kDotScales == 2) {
            x_sum[2 * r * kTileTokens + t] = scale * float(first);
            x_sum[(2 * r + 1) * kTileTokens + t] = scale * float(second);
        }
    }
}
