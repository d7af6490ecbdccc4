// Runs of q4_k: two sub-blocks, which share 32 bytes of nibbles.
const uint kRunWeights = 64;

struct Run {
    uvec4 q[2];
    vec4 s;  // scale and minimum of the one and the other
};

vec4 scale_min2(uint ib, uint i) {
    const uvec4 head = W_BLOCK(ib).head;
    const uvec2 bytes = scale_bytes(head, i >= 128u) >> ((i / 4u) & 24u);
    return unpackHalf2x16(head.x).xyxy * vec4(bytes & 255u, (bytes >> 8) & 255u);
}

Run load_run(uint ib, uint i) {
    return Run(uvec4[2](q_unit(ib, i / 32u), q_unit(ib, i / 32u + 1u)), scale_min2(ib, i));
}

void unpack8(Run run, uint j, out vec4 a, out vec4 b) {
    const uvec4 q = run.q[(j / 2u) & 1u];
    const uvec2 codes = (uvec2(q[2u * (j & 1u)], q[2u * (j & 1u) + 1u]) >> (4u * (j / 4u))) & 0x0F0F0F0Fu;
    const vec2 s = j < 4u ? run.s.xy : run.s.zw;
    a = fma(unsigned_bytes(codes.x), vec4(s.x), vec4(-s.y));
    b = fma(unsigned_bytes(codes.y), vec4(s.x), vec4(-s.y));
}
