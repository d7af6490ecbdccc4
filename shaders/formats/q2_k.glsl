// q2_k: 256 codes of 2 bits in 16 sub-blocks of 16, each with a 4-bit scale and a 4-bit minimum, 84 bytes.
// Element i: d * (scales[i / 16] & 15) * code - dmin * (scales[i / 16] >> 4); code is bits 2 * (i % 128 / 32).. of byte
// 32 * (i / 128) + i % 32 of q.
#ifdef PLANAR
#include "common/planar.glsl"
#endif

#ifdef FORMAT_STRUCT
#ifndef PLANAR
struct Block {
    uint scales[4];
    uint q[16];
    float16_t d;
    float16_t dmin;
};
#endif
const uint kBlockElems = 256;
#endif

#ifdef FORMAT_FUNCTIONS
#ifdef PLANAR
vec2 d_dmin(uint ib) { return unpackHalf2x16(word_at(PLANE_AT(ib, 84u, 80u, 4u))); }
uint scales_word(uint ib, uint k) { return word_at(PLANE_AT(ib, 84u, 64u, 16u) + 4u * k); }
uint q_word(uint ib, uint k) { return word_at(PLANE_AT(ib, 84u, 0u, 64u) + 4u * k); }
uvec4 q_unit(uint ib, uint k) { return unit_at(PLANE_AT(ib, 84u, 0u, 64u) + 16u * k); }
#else
vec2 d_dmin(uint ib) { return vec2(W_BLOCK(ib).d, W_BLOCK(ib).dmin); }
uint scales_word(uint ib, uint k) { return W_BLOCK(ib).scales[k]; }
uint q_word(uint ib, uint k) { return W_BLOCK(ib).q[k]; }
uvec4 q_unit(uint ib, uint k) { return uvec4(q_word(ib, 4u * k), q_word(ib, 4u * k + 1u), q_word(ib, 4u * k + 2u), q_word(ib, 4u * k + 3u)); }
#endif

// Scale and minimum of the sub-block of element i, multiplied out.
vec2 scale_min(uint ib, uint i) {
    const uint bits = scales_word(ib, i / 64u) >> ((i / 2u) & 24u);
    return d_dmin(ib) * vec2(bits & 15u, (bits & 0xF0u) >> 4);
}

vec4 codes4(uint ib, uint i) {
    return unsigned_bytes((q_word(ib, (i / 128u) * 8u + (i & 31u) / 4u) >> ((i & 96u) / 16u)) & 0x03030303u);
}

vec4 dequant4(uint ib, uint i) {
    const vec2 s = scale_min(ib, i);
    return codes4(ib, i) * s.x - s.y;
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const vec2 first = scale_min(ib, i), second = scale_min(ib, i + 16u);
    const uint shift = (i & 96u) / 16u;
    const uvec4 a = q_unit(ib, (i / 128u) * 2u) >> shift, b = q_unit(ib, (i / 128u) * 2u + 1u) >> shift;
    for (uint j = 0; j < 4u; ++j) {
        v[j] = unsigned_bytes(a[j] & 0x03030303u) * first.x - first.y;
        v[j + 4u] = unsigned_bytes(b[j] & 0x03030303u) * second.x - second.y;
    }
}
#endif
