// Dot form of q4_1: codes 0 .. 15.
const uint kDotScales = 1;
const bool kDotHasLow = true;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    for (uint j = 0; j < 4u; ++j) {
        const uint word = W_BLOCK(ib).q[j];
        codes[j] = word & 0x0F0F0F0Fu;
        codes[j + 4u] = (word >> 4) & 0x0F0F0F0Fu;
    }
    scale = vec2(float(W_BLOCK(ib).d));
    low = vec2(float(W_BLOCK(ib).m));
}
