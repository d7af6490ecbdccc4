// Dot form of iq4_xs: the levels -127 .. 113 that its codes stand for.
#include "common/nonlinear4_bytes.glsl"
const uint kDotScales = 1;
const bool kDotHasLow = false;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    const uvec4 q = q_unit(ib, i / 32u);
    for (uint j = 0; j < 4u; ++j) {
        const uint word = q[j];
        codes[j] = nonlinear4_bytes(word & 0x0F0F0F0Fu);
        codes[j + 4u] = nonlinear4_bytes((word >> 4) & 0x0F0F0F0Fu);
    }
    scale = vec2(scale_of(ib, i));
    low = vec2(0.0);
}
