// q5_1: 32 codes of 5 bits, a half scale and a half offset, 24 bytes. Element i: d * code + m.
// Low four bits as in q4_1; bit i of qh is the fifth bit of element i.
#ifdef PLANAR
#include "common/planar.glsl"
#endif

#ifdef FORMAT_STRUCT
#ifndef PLANAR
struct Block {
    float16_t d;
    float16_t m;
    uint qh;
    uint q[4];
};
#endif
const uint kBlockElems = 32;
#endif

#ifdef FORMAT_FUNCTIONS
#ifdef PLANAR
vec2 scale_offset(uint ib) { return unpackHalf2x16(word_at(PLANE_AT(ib, 24u, 20u, 4u))); }
uint high_bits(uint ib) { return word_at(PLANE_AT(ib, 24u, 16u, 4u)); }
uint q_word(uint ib, uint k) { return word_at(PLANE_AT(ib, 24u, 0u, 16u) + 4u * k); }
uvec4 q_unit(uint ib) { return unit_at(PLANE_AT(ib, 24u, 0u, 16u)); }
#else
vec2 scale_offset(uint ib) { return vec2(W_BLOCK(ib).d, W_BLOCK(ib).m); }
uint high_bits(uint ib) { return W_BLOCK(ib).qh; }
uint q_word(uint ib, uint k) { return W_BLOCK(ib).q[k]; }
uvec4 q_unit(uint ib) { return uvec4(q_word(ib, 0u), q_word(ib, 1u), q_word(ib, 2u), q_word(ib, 3u)); }
#endif

vec4 codes4(uint ib, uint i) {
    const uint low = q_word(ib, (i & 15u) / 4u) >> ((i & 16u) / 4u);
    return unsigned_bytes((low & 0x0F0F0F0Fu) | (spread_bits(high_bits(ib) >> i) << 4));
}

vec4 dequant4(uint ib, uint i) {
    const vec2 s = scale_offset(ib);
    return codes4(ib, i) * s.x + s.y;
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const vec2 s = scale_offset(ib);
    const uint high = high_bits(ib);
    const uvec4 q = q_unit(ib);
    for (uint j = 0; j < 4u; ++j) {
        v[j] = unsigned_bytes((q[j] & 0x0F0F0F0Fu) | (spread_bits(high >> (4u * j)) << 4)) * s.x + s.y;
        v[j + 4u] = unsigned_bytes(((q[j] >> 4) & 0x0F0F0F0Fu) | (spread_bits(high >> (4u * j + 16u)) << 4)) * s.x + s.y;
    }
}
#endif
