// Dot form of q2_k: codes 0 .. 3, a scale and an addend per 16.
const uint kDotScales = 2;
const bool kDotHasLow = true;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    const uint at = (i / 128u) * 8u, shift = (i & 96u) / 16u;
    for (uint j = 0; j < 8u; ++j) codes[j] = (W_BLOCK(ib).q[at + j] >> shift) & 0x03030303u;
    const vec2 first = scale_min(ib, i), second = scale_min(ib, i + 16u);
    scale = vec2(first.x, second.x);
    low = -vec2(first.y, second.y);
}
