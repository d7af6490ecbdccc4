// Dot form of q3_k: codes -4 .. 3, a scale per 16.
const uint kDotScales = 2;
const bool kDotHasLow = false;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    const uint shift = (i & 96u) / 16u, bit = i / 32u;
    for (uint k = 0; k < 2u; ++k) {
        const uvec4 l = (q_unit(ib, (i / 128u) * 2u + k) >> shift) & 0x03030303u, h = (high_unit(ib, k) >> bit) & 0x01010101u;
        for (uint j = 0; j < 4u; ++j) codes[4u * k + j] = bytes_minus(l[j] | (h[j] << 2), 4u);
    }
    scale = vec2(scale_of(ib, i), scale_of(ib, i + 16u));
    low = vec2(0.0);
}
