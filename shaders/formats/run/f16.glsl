// Runs of f16: 32 elements.
const uint kRunWeights = 32;

struct Run {
    uvec4 words[4];
};

uvec4 eight_at(uint ib) {
#ifdef PLANAR
    return unit_at(2u * ib);
#else
    uvec4 words;
    for (uint k = 0; k < 4u; ++k) {
        const uint low = packHalf2x16(vec2(dequant(ib, 2u * k), 0.0));
        const uint high = packHalf2x16(vec2(0.0, dequant(ib, 2u * k + 1u)));
        words[k] = low | high;
    }
    return words;
#endif
}

Run load_run(uint ib, uint i) {
    return Run(uvec4[4](eight_at(ib), eight_at(ib + 8u), eight_at(ib + 16u), eight_at(ib + 24u)));
}

void unpack8(Run run, uint j, out vec4 a, out vec4 b) {
    a = halves4(run.words[j].xy);
    b = halves4(run.words[j].zw);
}
