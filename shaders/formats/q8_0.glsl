// q8_0: 32 signed bytes and a half scale, 34 bytes. Element i: d * q[i].
#ifdef PLANAR
#include "common/planar.glsl"
#endif

#ifdef FORMAT_STRUCT
#ifndef PLANAR
struct Block {
    float16_t d;
    uint16_t q[16];
};
#endif
const uint kBlockElems = 32;
#endif

#ifdef FORMAT_FUNCTIONS
#ifdef PLANAR
float scale_of(uint ib) { return half_at(PLANE_AT(ib, 34u, 32u, 2u)); }
uint q_word(uint ib, uint k) { return word_at(PLANE_AT(ib, 34u, 0u, 32u) + 4u * k); }
uvec4 q_unit(uint ib, uint k) { return unit_at(PLANE_AT(ib, 34u, 0u, 32u) + 16u * k); }
#else
float scale_of(uint ib) { return float(W_BLOCK(ib).d); }
uint q_word(uint ib, uint k) { return WORD_OF(W_BLOCK(ib).q[2u * k], W_BLOCK(ib).q[2u * k + 1u]); }
uvec4 q_unit(uint ib, uint k) { return uvec4(q_word(ib, 4u * k), q_word(ib, 4u * k + 1u), q_word(ib, 4u * k + 2u), q_word(ib, 4u * k + 3u)); }
#endif

vec4 codes4(uint ib, uint i) {
    return signed_bytes(q_word(ib, i / 4u));
}

vec4 dequant4(uint ib, uint i) {
    return codes4(ib, i) * scale_of(ib);
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const float d = scale_of(ib);
    const uvec4 a = q_unit(ib, 0u), b = q_unit(ib, 1u);
    for (uint j = 0; j < 4u; ++j) {
        v[j] = signed_bytes(a[j]) * d;
        v[j + 4u] = signed_bytes(b[j]) * d;
    }
}
#endif
