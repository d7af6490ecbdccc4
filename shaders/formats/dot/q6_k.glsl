// Dot form of q6_k: codes -32 .. 31, a scale per 16.
const uint kDotScales = 2;
const bool kDotHasLow = false;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    const uint low_at = (i / 128u) * 4u + (i & 32u) / 16u, low_shift = (i & 64u) / 16u, high_shift = (i & 96u) / 16u;
    for (uint k = 0; k < 2u; ++k) {
        const uvec4 l = (q_unit(ib, low_at + k) >> low_shift) & 0x0F0F0F0Fu;
        const uvec4 h = (high_unit(ib, (i / 128u) * 2u + k) >> high_shift) & 0x03030303u;
        for (uint j = 0; j < 4u; ++j) codes[4u * k + j] = bytes_minus(l[j] | (h[j] << 4), 32u);
    }
    scale = vec2(scale_of(ib, i), scale_of(ib, i + 16u));
    low = vec2(0.0);
}
