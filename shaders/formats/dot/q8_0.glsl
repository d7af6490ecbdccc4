// Dot form of q8_0: the codes as they are.
const uint kDotScales = 1;
const bool kDotHasLow = false;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    for (uint j = 0; j < 8u; ++j) codes[j] = WORD_OF(W_BLOCK(ib).q[2u * j], W_BLOCK(ib).q[2u * j + 1u]);
    scale = vec2(float(W_BLOCK(ib).d));
    low = vec2(0.0);
}
