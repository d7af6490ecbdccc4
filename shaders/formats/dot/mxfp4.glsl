// Dot form of mxfp4: its small floats doubled, -12 .. 12.
const uint kDotScales = 1;
const bool kDotHasLow = false;

uint twice_fp4_byte(uint code) {
    const int magnitude = bitfieldExtract((code & 4u) == 0u ? 0x03020100 : 0x0C080604, int(code & 3u) * 8, 8);
    return uint((code & 8u) == 0u ? magnitude : -magnitude) & 255u;
}

uint twice_fp4_bytes(uint codes) {
    return twice_fp4_byte(codes) | (twice_fp4_byte(codes >> 8) << 8) | (twice_fp4_byte(codes >> 16) << 16) | (twice_fp4_byte(codes >> 24) << 24);
}

void dot32(uint ib, uint i, out uint codes[8], out vec2 scale, out vec2 low) {
    const uvec4 q = q_unit(ib);
    for (uint j = 0; j < 4u; ++j) {
        const uint word = q[j];
        codes[j] = twice_fp4_bytes(word & 0x0F0F0F0Fu);
        codes[j + 4u] = twice_fp4_bytes((word >> 4) & 0x0F0F0F0Fu);
    }
    scale = vec2(scale_of(ib));
    low = vec2(0.0);
}
