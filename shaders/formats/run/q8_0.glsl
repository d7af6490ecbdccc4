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
    // As bytes from 0 to 255, which cards convert to floats in one instruction, less 128.
    const uvec2 codes = uvec2(run.q[j / 2u][2u * (j & 1u)], run.q[j / 2u][2u * (j & 1u) + 1u]) ^ 0x80808080u;
    a = fma(unsigned_bytes(codes.x), vec4(run.d), vec4(-128.0 * run.d));
    b = fma(unsigned_bytes(codes.y), vec4(run.d), vec4(-128.0 * run.d));
}
