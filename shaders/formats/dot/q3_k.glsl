// Dot form of q3_k: codes -4 .. 3, a scale per 16.
const uint kDotScales = 2;
const bool kDotHasLow = false;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    const uint at = (i / 128u) * 16u, shift = (i & 96u) / 16u, high_shift = i / 32u;
    for (uint j = 0; j < 8u; ++j) {
        const uint l = (WORD_OF(W_BLOCK(ib).q[at + 2u * j], W_BLOCK(ib).q[at + 2u * j + 1u]) >> shift) & 0x03030303u;
        const uint h = (WORD_OF(W_BLOCK(ib).hmask[2u * j], W_BLOCK(ib).hmask[2u * j + 1u]) >> high_shift) & 0x01010101u;
        codes[j] = bytes_minus(l | (h << 2), 4u);
    }
    scale = vec2(scale_of(ib, i), scale_of(ib, i + 16u));
    low = vec2(0.0);
}
