// Dot form of q5_0: codes -16 .. 15.
const uint kDotScales = 1;
const bool kDotHasLow = false;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    const uint high = high_bits(ib);
    const uvec4 q = q_unit(ib);
    for (uint j = 0; j < 4u; ++j) {
        const uint word = q[j];
        codes[j] = bytes_minus((word & 0x0F0F0F0Fu) | (spread_bits(high >> (4u * j)) << 4), 16u);
        codes[j + 4u] = bytes_minus(((word >> 4) & 0x0F0F0F0Fu) | (spread_bits(high >> (4u * j + 16u)) << 4), 16u);
    }
    scale = vec2(scale_of(ib));
    low = vec2(0.0);
}
