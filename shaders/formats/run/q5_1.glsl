// Runs of q5_1: a block.
const uint kRunWeights = 32;

struct Run {
    uvec4 q;
    uint high;
    vec2 s;
};

Run load_run(uint ib, uint i) {
    return Run(q_unit(ib), high_bits(ib), scale_offset(ib));
}

void unpack8(Run run, uint j, out vec4 a, out vec4 b) {
    const uvec2 q = (uvec2(run.q[2u * (j & 1u)], run.q[2u * (j & 1u) + 1u]) >> (4u * (j / 2u))) & 0x0F0F0F0Fu;
    const uvec2 h = uvec2(spread_bits(run.high >> (8u * j)), spread_bits(run.high >> (8u * j + 4u))) << 4;
    a = fma(unsigned_bytes(q.x | h.x), vec4(run.s.x), vec4(run.s.y));
    b = fma(unsigned_bytes(q.y | h.y), vec4(run.s.x), vec4(run.s.y));
}
