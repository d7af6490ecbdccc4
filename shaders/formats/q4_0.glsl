// q4_0: 32 nibbles and a half scale, 18 bytes. Element i: d * (code - 8).
// Elements 0..15 are the low nibbles of the 16 bytes, 16..31 the high ones.
#ifdef PLANAR
#include "common/planar.glsl"
#endif

#ifdef FORMAT_STRUCT
#ifndef PLANAR
struct Block {
    float16_t d;
    uint16_t q[8];
};
#endif
const uint kBlockElems = 32;
#endif

#ifdef FORMAT_FUNCTIONS
#ifdef PLANAR
float scale_of(uint ib) { return half_at(PLANE_AT(ib, 18u, 16u, 2u)); }
uint q_word(uint ib, uint k) { return word_at(PLANE_AT(ib, 18u, 0u, 16u) + 4u * k); }
uvec4 q_unit(uint ib) { return unit_at(PLANE_AT(ib, 18u, 0u, 16u)); }
#else
float scale_of(uint ib) { return float(W_BLOCK(ib).d); }
uint q_word(uint ib, uint k) { return WORD_OF(W_BLOCK(ib).q[2u * k], W_BLOCK(ib).q[2u * k + 1u]); }
uvec4 q_unit(uint ib) { return uvec4(q_word(ib, 0u), q_word(ib, 1u), q_word(ib, 2u), q_word(ib, 3u)); }
#endif

vec4 codes4(uint ib, uint i) {
    return unsigned_bytes((q_word(ib, (i & 15u) / 4u) >> ((i & 16u) / 4u)) & 0x0F0F0F0Fu) - 8.0;
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
        v[j] = (unsigned_bytes(q[j] & 0x0F0F0F0Fu) - 8.0) * d;
        v[j + 4u] = (unsigned_bytes((q[j] >> 4) & 0x0F0F0F0Fu) - 8.0) * d;
    }
}
#endif
