// Runs of q3_k: half a block, whose four quarters share 32 bytes.
const uint kRunWeights = 128;

struct Run {
    uvec4 q[2];
    uvec4 high[2];  // the third bits of the quarters in the lowest four bits of each byte
    uvec2 scales;   // 6 bits in each byte
    float d;
};

Run load_run(uint ib, uint i) {
    const uint at = i / 64u, shift = i / 32u;  // 0 or 4
    const uint top = scales_word(ib, 2u) >> shift;
    const uvec2 low = (uvec2(scales_word(ib, 0u), scales_word(ib, 1u)) >> shift) & 0x0F0F0F0Fu;
    return Run(uvec4[2](q_unit(ib, at), q_unit(ib, at + 1u)), uvec4[2](high_unit(ib, 0u) >> shift, high_unit(ib, 1u) >> shift),
               low | ((uvec2(top, top >> 2) & 0x03030303u) << 4), d_of(ib));
}

void unpack8(Run run, uint j, out vec4 a, out vec4 b) {
    const uint quarter = j / 4u, at = 2u * (j & 1u);
    const uvec4 q = run.q[(j / 2u) & 1u], h = run.high[(j / 2u) & 1u];
    const uvec2 low = (uvec2(q[at], q[at + 1u]) >> (2u * quarter)) & 0x03030303u;
    const uvec2 high = (uvec2(h[at], h[at + 1u]) >> quarter) & 0x01010101u;
    const uvec2 codes = low | (high << 2);
    const float s = run.d * (float((run.scales[j / 8u] >> (8u * ((j / 2u) & 3u))) & 255u) - 32.0);
    a = fma(unsigned_bytes(codes.x), vec4(s), vec4(-4.0 * s));
    b = fma(unsigned_bytes(codes.y), vec4(s), vec4(-4.0 * s));
}
