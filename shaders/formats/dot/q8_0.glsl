// Dot form of q8_0: the codes as they are.
const uint kDotScales = 1;
const bool kDotHasLow = false;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    const uvec4 a = q_unit(ib, 0u), b = q_unit(ib, 1u);
    for (uint j = 0; j < 4u; ++j) {
        codes[j] = a[j];
        codes[j + 4u] = b[j];
    }
    scale = vec2(scale_of(ib));
    low = vec2(0.0);
}
