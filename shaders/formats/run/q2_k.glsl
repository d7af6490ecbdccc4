// Runs of q2_k: half a block, whose four quarters share 32 bytes.
const uint kRunWeights = 128;

struct Run {
    uvec4 q[2];
    uvec2 scales;
    vec2 d;
};

Run load_run(uint ib, uint i) {
    const uint at = i / 64u;
    return Run(uvec4[2](q_unit(ib, at), q_unit(ib, at + 1u)), uvec2(scales_word(ib, at), scales_word(ib, at + 1u)), d_dmin(ib));
}

void unpack8(Run run, uint j, out vec4 a, out vec4 b) {
    const uvec4 q = run.q[(j / 2u) & 1u];
    const uvec2 codes = (uvec2(q[2u * (j & 1u)], q[2u * (j & 1u) + 1u]) >> (2u * (j / 4u))) & 0x03030303u;
    const uint bits = (run.scales[j / 8u] >> (8u * ((j / 2u) & 3u))) & 255u;
    const vec2 s = run.d * vec2(bits & 15u, bits >> 4);
    a = fma(unsigned_bytes(codes.x), vec4(s.x), vec4(-s.y));
    b = fma(unsigned_bytes(codes.y), vec4(s.x), vec4(-s.y));
}
