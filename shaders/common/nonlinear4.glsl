// The 16 values of the non-linear 4-bit formats (iq4_nl, iq4_xs), as signed bytes packed four to a word.
float nonlinear4(uint code) {
    const uint low = (code & 4u) == 0u ? 0xBFAD9881u : 0xF6EADDCFu;   // -127 -104 -83 -65, -49 -35 -22 -10
    const uint high = (code & 4u) == 0u ? 0x26190D01u : 0x71594535u;  // 1 13 25 38, 53 69 89 113
    return float(bitfieldExtract(int((code & 8u) == 0u ? low : high), int(code & 3u) * 8, 8));
}

// Four codes, one in the low nibble of each byte.
vec4 nonlinear4x4(uint codes) {
    return vec4(nonlinear4(codes & 15u), nonlinear4((codes >> 8) & 15u), nonlinear4((codes >> 16) & 15u),
                nonlinear4((codes >> 24) & 15u));
}
