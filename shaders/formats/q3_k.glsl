// q3_k: 256 codes of 3 bits in 16 sub-blocks of 16 with a 6-bit scale each, 110 bytes.
// Element i: d * (scale[i / 16] - 32) * (code - 4); the low two bits as in q2_k, the third is bit i / 32 of byte i % 32 of hmask.
#ifdef PLANAR
#include "common/planar.glsl"
#endif

#ifdef FORMAT_STRUCT
#ifndef PLANAR
struct Block {
    uint16_t hmask[16];
    uint16_t q[32];
    uint16_t scales[6];  // 12 bytes: nibbles of sub-blocks 0..7 (low) and 8..15 (high) in 8 bytes, then the top two bits of all
    float16_t d;
};
#endif
const uint kBlockElems = 256;
#endif

#ifdef FORMAT_FUNCTIONS
#ifdef PLANAR
float d_of(uint ib) { return half_at(PLANE_AT(ib, 110u, 108u, 2u)); }
uint scales_word(uint ib, uint k) { return word_at(PLANE_AT(ib, 110u, 96u, 12u) + 4u * k); }
uint high_word(uint ib, uint k) { return word_at(PLANE_AT(ib, 110u, 64u, 32u) + 4u * k); }
uvec4 high_unit(uint ib, uint k) { return unit_at(PLANE_AT(ib, 110u, 64u, 32u) + 16u * k); }
uint q_word(uint ib, uint k) { return word_at(PLANE_AT(ib, 110u, 0u, 64u) + 4u * k); }
uvec4 q_unit(uint ib, uint k) { return unit_at(PLANE_AT(ib, 110u, 0u, 64u) + 16u * k); }
#else
float d_of(uint ib) { return float(W_BLOCK(ib).d); }
uint scales_word(uint ib, uint k) { return WORD_OF(W_BLOCK(ib).scales[2u * k], W_BLOCK(ib).scales[2u * k + 1u]); }
uint high_word(uint ib, uint k) { return WORD_OF(W_BLOCK(ib).hmask[2u * k], W_BLOCK(ib).hmask[2u * k + 1u]); }
uvec4 high_unit(uint ib, uint k) { return uvec4(high_word(ib, 4u * k), high_word(ib, 4u * k + 1u), high_word(ib, 4u * k + 2u), high_word(ib, 4u * k + 3u)); }
uint q_word(uint ib, uint k) { return WORD_OF(W_BLOCK(ib).q[2u * k], W_BLOCK(ib).q[2u * k + 1u]); }
uvec4 q_unit(uint ib, uint k) { return uvec4(q_word(ib, 4u * k), q_word(ib, 4u * k + 1u), q_word(ib, 4u * k + 2u), q_word(ib, 4u * k + 3u)); }
#endif

// Scale of the sub-block of element i, multiplied out.
float scale_of(uint ib, uint i) {
    const uint s = i / 16u, byte_shift = (s & 3u) * 8u;
    const uint low = scales_word(ib, (s & 7u) / 4u) >> (byte_shift + (s & 8u) / 2u);
    const uint high = scales_word(ib, 2u) >> (byte_shift + (s / 4u) * 2u);
    return d_of(ib) * (float((low & 15u) | ((high & 3u) << 4)) - 32.0);
}

vec4 codes4(uint ib, uint i) {
    const uint column = (i & 31u) / 4u;
    const uint low = (q_word(ib, (i / 128u) * 8u + column) >> ((i & 96u) / 16u)) & 0x03030303u;
    const uint high = (high_word(ib, column) >> (i / 32u)) & 0x01010101u;
    return unsigned_bytes(low | (high << 2)) - 4.0;
}

vec4 dequant4(uint ib, uint i) {
    return codes4(ib, i) * scale_of(ib, i);
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const float first = scale_of(ib, i), second = scale_of(ib, i + 16u);
    const uint shift = (i & 96u) / 16u, bit = i / 32u;
    const uvec4 a = ((q_unit(ib, (i / 128u) * 2u) >> shift) & 0x03030303u) | (((high_unit(ib, 0u) >> bit) & 0x01010101u) << 2);
    const uvec4 b = ((q_unit(ib, (i / 128u) * 2u + 1u) >> shift) & 0x03030303u) | (((high_unit(ib, 1u) >> bit) & 0x01010101u) << 2);
    for (uint j = 0; j < 4u; ++j) {
        v[j] = (unsigned_bytes(a[j]) - 4.0) * first;
        v[j + 4u] = (unsigned_bytes(b[j]) - 4.0) * second;
    }
}
#endif
