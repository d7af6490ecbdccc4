// The levels of common/nonlinear4.glsl as signed bytes: four codes, one in the low nibble of each byte, to four levels.
uint nonlinear4_byte(uint code) {
    const uint low = (code & 4u) == 0u ? 0xBFAD9881u : 0xF6EADDCFu;   // -127 -104 -83 -65, -49 -35 -22 -10
    const uint high = (code & 4u) == 0u ? 0x26190D01u : 0x71594535u;  // 1 13 25 38, 53 69 89 113
    return bitfieldExtract((code & 8u) == 0u ? low : high, int(code & 3u) * 8, 8);
}

uint nonlinear4_bytes(uint codes) {
    return nonlinear4_byte(codes) | (nonlinear4_byte(codes >> 8) << 8) | (nonlinear4_byte(codes >> 16) << 16) |
           (nonlinear4_byte(codes >> 24) << 24);
}
