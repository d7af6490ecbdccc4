// mxfp4: 32 floats of 4 bits (1 sign, 2 exponent, 1 mantissa) and a power-of-two scale, 17 bytes, nibbles placed as in q4_0.
// Element i: 2^(e - 128) * twice the small float, which is one of 0 1 2 3 4 6 8 12 and its sign.
#ifdef FORMAT_STRUCT
struct Block {
    uint8_t e;
    uint8_t q[16];
};
const uint kBlockElems = 32;
#endif

#ifdef FORMAT_FUNCTIONS
// 2^(e - 128). The two smallest are below the normal floats.
float scale_of(uint ib) {
    const uint e = uint(W_BLOCK(ib).e);
    return uintBitsToFloat(e < 2u ? 0x00200000u << e : (e - 1u) << 23);
}

float twice_fp4(uint code) {
    const uint magnitude = code & 7u;
    const int twice = int(magnitude < 4u ? magnitude : (2u | (magnitude & 1u)) << (magnitude / 2u - 1u));
    return float((code & 8u) == 0u ? twice : -twice);
}

float code_at(uint ib, uint i) {
    return twice_fp4(uint(W_BLOCK(ib).q[i & 15u]) >> ((i & 16u) / 4u));
}

vec4 codes4(uint ib, uint i) {
    return vec4(code_at(ib, i), code_at(ib, i + 1u), code_at(ib, i + 2u), code_at(ib, i + 3u));
}

float dequant(uint ib, uint i) {
    return code_at(ib, i) * scale_of(ib);
}

vec4 dequant4(uint ib, uint i) {
    return codes4(ib, i) * scale_of(ib);
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const float d = scale_of(ib);
    for (uint j = 0; j < 8u; ++j) v[j] = codes4(ib, 4u * j) * d;
}
#endif
