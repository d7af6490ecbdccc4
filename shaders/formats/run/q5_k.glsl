// Runs of q5_k: two sub-blocks, which share 32 bytes of nibbles.
const uint kRunWeights = 64;

struct Run {
    uvec4 q[2];
    uvec4 high[2];  // the fifth bits at the bottom of each byte, of the one and the other
    vec4 s;         // scale and minimum of the one and the other
};

vec4 scale_min2(uint ib, uint i) {
    const uvec4 head = W_BLOCK(ib).head;
    const uvec2 bytes = scale_bytes(head, i >= 128u) >> ((i / 4u) & 24u);
    return unpackHalf2x16(head.x).xyxy * vec4(bytes & 255u, (bytes >> 8) & 255u);
}

Run load_run(uint ib, uint i) {
    return Run(uvec4[2](q_unit(ib, i / 32u), q_unit(ib, i / 32u + 1u)),
               uvec4[2](high_unit(ib, 0u) >> (i / 32u), high_unit(ib, 1u) >> (i / 32u)), scale_min2(ib, i));
}

void unpack8(Run run, uint j, out vec4 a, out vec4 b) {
    const uvec4 q = run.q[(j / 2u) & 1u], high = run.high[(j / 2u) & 1u];
    const uint at = 2u * (j & 1u);
    const uvec2 low = (uvec2(q[at], q[at + 1u]) >> (4u * (j / 4u))) & 0x0F0F0F0Fu;
    const uvec2 bits = (uvec2(high[at], high[at + 1u]) >> (j / 4u)) & 0x01010101u;
    const uvec2 codes = low | (bits << 4);
    const vec2 s = j < 4u ? run.s.xy : run.s.zw;
    a = fma(unsigned_bytes(codes.x), vec4(s.x), vec4(-s.y));
    b = fma(unsigned_bytes(codes.y), vec4(s.x), vec4(-s.y));
}
