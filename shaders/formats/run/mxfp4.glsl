// Runs of mxfp4: a block.
const uint kRunWeights = 32;

struct Run {
    uvec4 q;
    float d;
};

Run load_run(uint ib, uint i) {
    return Run(q_unit(ib), scale_of(ib));
}

// Four codes, one in the low nibble of each byte, as small floats: exponent and mantissa go where a half has them, which makes
// 2^-14 of the number (0.5 becomes a subnormal half).
vec4 small_floats(uint codes) {
    const uvec2 pairs = uvec2(codes, codes >> 8);
    const uvec2 halves = ((pairs & 0x00070007u) << 9) | ((pairs & 0x00080008u) << 12);
    return vec4(unpackHalf2x16(halves.x), unpackHalf2x16(halves.y)).xzyw;
}

void unpack8(Run run, uint j, out vec4 a, out vec4 b) {
    const uvec2 q = uvec2(run.q[2u * (j & 1u)], run.q[2u * (j & 1u) + 1u]) >> (4u * (j / 2u));
    a = small_floats(q.x) * 32768.0 * run.d;
    b = small_floats(q.y) * 32768.0 * run.d;
}
