// Dot form of q4_k: codes 0 .. 15.
const uint kDotScales = 1;
const bool kDotHasLow = true;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    const uint at = (i / 64u) * 2u, shift = (i & 32u) / 8u;
    const uvec4 a = (q_unit(ib, at) >> shift) & 0x0F0F0F0Fu, b = (q_unit(ib, at + 1u) >> shift) & 0x0F0F0F0Fu;
    for (uint j = 0; j < 4u; ++j) {
        codes[j] = a[j];
        codes[j + 4u] = b[j];
    }
    const vec2 s = scale_min(ib, i);
    scale = vec2(s.x);
    low = vec2(-s.y);
}
