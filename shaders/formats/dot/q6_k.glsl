// Dot form of q6_k: codes -32 .. 31, a scale per 16.
const uint kDotScales = 2;
const bool kDotHasLow = false;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    const uint l = (i / 128u) * 32u + (i & 32u) / 2u, h = (i / 128u) * 16u;
    const uint low_shift = (i & 64u) / 16u, high_shift = (i & 96u) / 16u;
    for (uint j = 0; j < 8u; ++j) {
        const uint a = (WORD_OF(W_BLOCK(ib).ql[l + 2u * j], W_BLOCK(ib).ql[l + 2u * j + 1u]) >> low_shift) & 0x0F0F0F0Fu;
        const uint b = (WORD_OF(W_BLOCK(ib).qh[h + 2u * j], W_BLOCK(ib).qh[h + 2u * j + 1u]) >> high_shift) & 0x03030303u;
        codes[j] = bytes_minus(a | (b << 4), 32u);
    }
    scale = vec2(scale_of(ib, i), scale_of(ib, i + 16u));
    low = vec2(0.0);
}
