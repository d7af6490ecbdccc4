// Runs of mxfp4: a block.
const uint kRunWeights = 32;

struct Run {
    uvec4 q;
    float d;
};

Run load_run(uint ib, uint i) {
    return Run(q_unit(ib), scale_of(ib));
}

void unpack8(Run run, uint j, out vec4 a, out vec4 b) {
    const uvec2 q = uvec2(run.q[2u * (j & 1u)], run.q[2u * (j & 1u) + 1u]) >> (4u * (j / 2u));
    a = twice_fp4x4(q.x) * run.d;
    b = twice_fp4x4(q.y) * run.d;
}
