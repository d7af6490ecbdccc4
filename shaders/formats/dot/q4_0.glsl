// Dot form of q4_0: codes -8 .. 7.
const uint kDotScales = 1;
const bool kDotHasLow = false;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    const uvec4 q = q_unit(ib);
    for (uint j = 0; j < 4u; ++j) {
        const uint word = q[j];
        codes[j] = bytes_minus(word & 0x0F0F0F0Fu, 8u);
        codes[j + 4u] = bytes_minus((word >> 4) & 0x0F0F0F0Fu, 8u);
    }
    scale = vec2(scale_of(ib));
    low = vec2(0.0);
}
