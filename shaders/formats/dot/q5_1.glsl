// Dot form of q5_1: codes 0 .. 31.
const uint kDotScales = 1;
const bool kDotHasLow = true;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    const uint high = high_bits(ib);
    const uvec4 q = q_unit(ib);
    for (uint j = 0; j < 4u; ++j) {
        const uint word = q[j];
        codes[j] = (word & 0x0F0F0F0Fu) | (spread_bits(high >> (4u * j)) << 4);
        codes[j + 4u] = ((word >> 4) & 0x0F0F0F0Fu) | (spread_bits(high >> (4u * j + 16u)) << 4);
    }
    const vec2 s = scale_offset(ib);
    scale = vec2(s.x);
    low = vec2(s.y);
}
