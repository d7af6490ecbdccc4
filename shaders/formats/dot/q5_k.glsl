// Dot form of q5_k: codes 0 .. 31.
const uint kDotScales = 1;
const bool kDotHasLow = true;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    const uint at = (i / 64u) * 2u, shift = (i & 32u) / 8u, bit = i / 32u;
    for (uint k = 0; k < 2u; ++k) {
        const uvec4 q = ((q_unit(ib, at + k) >> shift) & 0x0F0F0F0Fu) | (((high_unit(ib, k) >> bit) & 0x01010101u) << 4);
        for (uint j = 0; j < 4u; ++j) codes[4u * k + j] = q[j];
    }
    const vec2 s = scale_min(ib, i);
    scale = vec2(s.x);
    low = vec2(-s.y);
}
