// The seed's random numbers and the two products that cut a sum. 64-bit numbers have their low word in x.

// Philox4x32-10. Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
uvec4 philox4x32(uvec4 counter, uvec2 key) {
    [[dont_unroll]] for (uint round = 0; round < 10; ++round) {
        uint high0, low0, high1, low1;
        umulExtended(0xD2511F53u, counter.x, high0, low0);
        umulExtended(0xCD9E8D57u, counter.z, high1, low1);
        counter = uvec4(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
        key += uvec2(0x9E3779B9u, 0xBB67AE85u);
    }
    return counter;
}

// floor(a * share / 2^32)
uvec2 share_of(uvec2 a, uint share) { return add64(mul64(a.y, share), uvec2(mul64(a.x, share).y, 0)); }

// floor(a * fraction / 2^64)
uvec2 fraction_of(uvec2 a, uvec2 fraction) {
    const uvec2 middle = add64(mul64(a.y, fraction.x), uvec2(mul64(a.x, fraction.x).y, 0));
    const uvec2 lower = add64(mul64(a.x, fraction.y), uvec2(middle.x, 0));
    return add64(mul64(a.y, fraction.y), add64(uvec2(middle.y, 0), uvec2(lower.y, 0)));
}
