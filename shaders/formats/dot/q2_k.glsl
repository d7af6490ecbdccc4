// Dot form of q2_k: codes 0 .. 3, a scale and an addend per 16.
const uint kDotScales = 2;
const bool kDotHasLow = true;

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    const uint shift = (i & 96u) / 16u;
    const uvec4 a = q_unit(ib, (i / 128u) * 2u) >> shift, b = q_unit(ib, (i / 128u) * 2u + 1u) >> shift;
    for (uint j = 0; j < 4u; ++j) {
        codes[j] = a[j] & 0x03030303u;
        codes[j + 4u] = b[j] & 0x03030303u;
    }
    const vec2 first = scale_min(ib, i), second = scale_min(ib, i + 16u);
    scale = vec2(first.x, second.x);
    low = -vec2(first.y, second.y);
}
