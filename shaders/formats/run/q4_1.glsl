// Runs of q4_1: a block.
const uint kRunWeights = 32;

struct Run {
    uvec4 q;
    vec2 s;
};

Run load_run(uint ib, uint i) {
    return Run(q_unit(ib), scale_offset(ib));
}

void unpack8(Run run, uint j, out vec4 a, out vec4 b) {
    const uvec2 q = (uvec2(run.q[2u * (j & 1u)], run.q[2u * (j & 1u) + 1u]) >> (4u * (j / 2u))) & 0x0F0F0F0Fu;
    a = fma(unsigned_bytes(q.x), vec4(run.s.x), vec4(run.s.y));
    b = fma(unsigned_bytes(q.y), vec4(run.s.x), vec4(run.s.y));
}
