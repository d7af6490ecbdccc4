// Runs of f32: 32 elements.
const uint kRunWeights = 32;

struct Run {
    vec4 v[8];
};

Run load_run(uint ib, uint i) {
    Run run;
    for (uint j = 0; j < 8u; ++j) run.v[j] = dequant4(ib, 4u * j);
    return run;
}

void unpack8(Run run, uint j, out vec4 a, out vec4 b) {
    a = run.v[2u * j];
    b = run.v[2u * j + 1u];
}
