// Runs of q6_k: half a block, whose four quarters share 32 bytes of high bits and in pairs 32 bytes of nibbles.
const uint kRunWeights = 128;

struct Run {
    uvec4 low[4];
    uvec4 high[2];
    uvec2 scales;  // signed bytes
    float d;
};

Run load_run(uint ib, uint i) {
    const uint l = i / 32u, h = i / 64u;
    return Run(uvec4[4](q_unit(ib, l), q_unit(ib, l + 1u), q_unit(ib, l + 2u), q_unit(ib, l + 3u)),
               uvec4[2](high_unit(ib, h), high_unit(ib, h + 1u)), uvec2(scales_word(ib, h), scales_word(ib, h + 1u)), d_of(ib));
}

void unpack8(Run run, uint j, out vec4 a, out vec4 b) {
    const uint quarter = j / 4u, at = 2u * (j & 1u);
    const uvec4 l = run.low[2u * (quarter & 1u) + ((j / 2u) & 1u)], h = run.high[(j / 2u) & 1u];
    const uvec2 low = (uvec2(l[at], l[at + 1u]) >> (4u * (quarter / 2u))) & 0x0F0F0F0Fu;
    const uvec2 high = (uvec2(h[at], h[at + 1u]) >> (2u * quarter)) & 0x03030303u;
    const uvec2 codes = low | (high << 4);
    const float s = run.d * float(bitfieldExtract(int(run.scales[j / 8u]), int(8u * ((j / 2u) & 3u)), 8));
    a = fma(unsigned_bytes(codes.x), vec4(s), vec4(-32.0 * s));
    b = fma(unsigned_bytes(codes.y), vec4(s), vec4(-32.0 * s));
}
