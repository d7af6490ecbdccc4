// mxfp4: 32 floats of 4 bits (1 sign, 2 exponent, 1 mantissa) and a power-of-two scale, 17 bytes, nibbles placed as in q4_0.
// Element i: 2^(e - 128) * twice the small float, which is one of 0 1 2 3 4 6 8 12 and its sign.
#ifdef PLANAR
#include "common/planar.glsl"
#endif

#ifdef FORMAT_STRUCT
#ifndef PLANAR
struct Block {
    uint8_t e;
    uint8_t q[16];
};
#endif
const uint kBlockElems = 32;
#endif

#ifdef FORMAT_FUNCTIONS
#ifdef PLANAR
uint exponent_of(uint ib) { return byte_at(PLANE_AT(ib, 17u, 16u, 1u)); }
uint q_word(uint ib, uint k) { return word_at(PLANE_AT(ib, 17u, 0u, 16u) + 4u * k); }
uvec4 q_unit(uint ib) { return unit_at(PLANE_AT(ib, 17u, 0u, 16u)); }
#else
uint exponent_of(uint ib) { return uint(W_BLOCK(ib).e); }
uint q_word(uint ib, uint k) {
    return uint(W_BLOCK(ib).q[4u * k]) | uint(W_BLOCK(ib).q[4u * k + 1u]) << 8 | uint(W_BLOCK(ib).q[4u * k + 2u]) << 16 |
           uint(W_BLOCK(ib).q[4u * k + 3u]) << 24;
}
uvec4 q_unit(uint ib) { return uvec4(q_word(ib, 0u), q_word(ib, 1u), q_word(ib, 2u), q_word(ib, 3u)); }
#endif

// 2^(e - 128). The two smallest are below the normal floats.
float scale_of(uint ib) {
    const uint e = exponent_of(ib);
    return uintBitsToFloat(e < 2u ? 0x00200000u << e : (e - 1u) << 23);
}

float twice_fp4(uint code) {
    const uint magnitude = code & 7u;
    const int twice = int(magnitude < 4u ? magnitude : (2u | (magnitude & 1u)) << (magnitude / 2u - 1u));
    return float((code & 8u) == 0u ? twice : -twice);
}

// Four codes, one in the low nibble of each byte.
vec4 twice_fp4x4(uint codes) {
    return vec4(twice_fp4(codes), twice_fp4(codes >> 8), twice_fp4(codes >> 16), twice_fp4(codes >> 24));
}

vec4 codes4(uint ib, uint i) {
    return twice_fp4x4(q_word(ib, (i & 15u) / 4u) >> ((i & 16u) / 4u));
}

vec4 dequant4(uint ib, uint i) {
    return codes4(ib, i) * scale_of(ib);
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const float d = scale_of(ib);
    const uvec4 q = q_unit(ib);
    for (uint j = 0; j < 4u; ++j) {
        v[j] = twice_fp4x4(q[j]) * d;
        v[j + 4u] = twice_fp4x4(q[j] >> 4) * d;
    }
}
#endif
