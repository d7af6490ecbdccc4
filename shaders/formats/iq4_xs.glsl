// iq4_xs: 256 nibbles in 8 sub-blocks of 32 with a 6-bit scale each, 136 bytes.
// Element i: d * (scale[i / 32] - 32) * nonlinear4(code); each sub-block has 16 bytes of q, nibbles placed as in q4_0.
#ifdef PLANAR
#include "common/planar.glsl"
#endif

#ifdef FORMAT_STRUCT
#ifndef PLANAR
struct Block {
    uint head;      // half d; two top bits of each scale
    uint scales_l;  // four low bits of each scale
    uint q[32];
};
#endif
const uint kBlockElems = 256;
#endif

#ifdef FORMAT_FUNCTIONS
#include "common/nonlinear4.glsl"

#ifdef PLANAR
uvec2 head_of(uint ib) { return uvec2(word_at(PLANE_AT(ib, 136u, 128u, 8u)), word_at(PLANE_AT(ib, 136u, 128u, 8u) + 4u)); }
uint q_word(uint ib, uint k) { return word_at(PLANE_AT(ib, 136u, 0u, 128u) + 4u * k); }
uvec4 q_unit(uint ib, uint k) { return unit_at(PLANE_AT(ib, 136u, 0u, 128u) + 16u * k); }
#else
uvec2 head_of(uint ib) { return uvec2(W_BLOCK(ib).head, W_BLOCK(ib).scales_l); }
uint q_word(uint ib, uint k) { return W_BLOCK(ib).q[k]; }
uvec4 q_unit(uint ib, uint k) { return uvec4(q_word(ib, 4u * k), q_word(ib, 4u * k + 1u), q_word(ib, 4u * k + 2u), q_word(ib, 4u * k + 3u)); }
#endif

// Scale of the sub-block of element i, multiplied out.
float scale_of(uint ib, uint i) {
    const uvec2 head = head_of(ib);
    const uint low = (head.y >> ((i / 32u) * 4u)) & 15u;
    const uint high = (head.x >> (16u + (i / 32u) * 2u)) & 3u;
    return unpackHalf2x16(head.x).x * (float(low | (high << 4)) - 32.0);
}

vec4 codes4(uint ib, uint i) {
    return nonlinear4x4(q_word(ib, (i / 32u) * 4u + (i & 15u) / 4u) >> ((i & 16u) / 4u));
}

vec4 dequant4(uint ib, uint i) {
    return codes4(ib, i) * scale_of(ib, i);
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const float s = scale_of(ib, i);
    const uvec4 q = q_unit(ib, i / 32u);
    for (uint j = 0; j < 4u; ++j) {
        v[j] = nonlinear4x4(q[j]) * s;
        v[j + 4u] = nonlinear4x4(q[j] >> 4) * s;
    }
}
#endif
