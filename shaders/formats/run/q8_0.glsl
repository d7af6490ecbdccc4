// Runs of q8_0: a block.
const uint kRunWeights = 32;

struct Run {
    uvec4 q[2];
    float d;
};

Run load_run(uint ib, uint i) {
    return Run(uvec4[2](q_unit(ib, 0u), q_unit(ib, 1u)), scale_of(ib));
}

void unpack8(Run run, uint j, out vec4 a, out vec4 b) {
    a = signed_bytes(run.q[j / 2u][2u * (j & 1u)]) * run.d;
    b = signed_bytes(run.q[j / 2u][2u * (j & 1u) + 1u]) * run.d;
}
