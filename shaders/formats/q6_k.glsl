// q6_k: 256 codes of 6 bits in 16 sub-blocks of 16 with a signed 8-bit scale each, 210 bytes.
// Element i: d * scale[i / 16] * (code - 32). In each half of 128, r = i % 128: the low four bits are the low (r < 64) or
// high nibble of byte r % 64 of its 64 bytes of ql, the upper two are bits 2 * (r / 32).. of byte r % 32 of its 32 bytes of qh.
#ifdef PLANAR
#include "common/planar.glsl"
#endif

#ifdef FORMAT_STRUCT
#ifndef PLANAR
struct Block {
    uint16_t ql[64];
    uint16_t qh[32];
    uint16_t scales[8];  // two signed bytes each
    float16_t d;
};
#endif
const uint kBlockElems = 256;
#endif

#ifdef FORMAT_FUNCTIONS
#ifdef PLANAR
float d_of(uint ib) { return half_at(PLANE_AT(ib, 210u, 208u, 2u)); }
uint scales_word(uint ib, uint k) { return word_at(PLANE_AT(ib, 210u, 192u, 16u) + 4u * k); }
uint high_word(uint ib, uint k) { return word_at(PLANE_AT(ib, 210u, 128u, 64u) + 4u * k); }
uvec4 high_unit(uint ib, uint k) { return unit_at(PLANE_AT(ib, 210u, 128u, 64u) + 16u * k); }
uint q_word(uint ib, uint k) { return word_at(PLANE_AT(ib, 210u, 0u, 128u) + 4u * k); }
uvec4 q_unit(uint ib, uint k) { return unit_at(PLANE_AT(ib, 210u, 0u, 128u) + 16u * k); }
#else
float d_of(uint ib) { return float(W_BLOCK(ib).d); }
uint scales_word(uint ib, uint k) { return WORD_OF(W_BLOCK(ib).scales[2u * k], W_BLOCK(ib).scales[2u * k + 1u]); }
uint high_word(uint ib, uint k) { return WORD_OF(W_BLOCK(ib).qh[2u * k], W_BLOCK(ib).qh[2u * k + 1u]); }
uvec4 high_unit(uint ib, uint k) { return uvec4(high_word(ib, 4u * k), high_word(ib, 4u * k + 1u), high_word(ib, 4u * k + 2u), high_word(ib, 4u * k + 3u)); }
uint q_word(uint ib, uint k) { return WORD_OF(W_BLOCK(ib).ql[2u * k], W_BLOCK(ib).ql[2u * k + 1u]); }
uvec4 q_unit(uint ib, uint k) { return uvec4(q_word(ib, 4u * k), q_word(ib, 4u * k + 1u), q_word(ib, 4u * k + 2u), q_word(ib, 4u * k + 3u)); }
#endif

// Scale of the sub-block of element i, multiplied out.
float scale_of(uint ib, uint i) {
    return d_of(ib) * float(bitfieldExtract(int(scales_word(ib, i / 64u)), int((i / 2u) & 24u), 8));
}

vec4 codes4(uint ib, uint i) {
    const uint low = (q_word(ib, (i / 128u) * 16u + (i & 63u) / 4u) >> ((i & 64u) / 16u)) & 0x0F0F0F0Fu;
    const uint high = (high_word(ib, (i / 128u) * 8u + (i & 31u) / 4u) >> ((i & 96u) / 16u)) & 0x03030303u;
    return unsigned_bytes(low | (high << 4)) - 32.0;
}

vec4 dequant4(uint ib, uint i) {
    return codes4(ib, i) * scale_of(ib, i);
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const float first = scale_of(ib, i), second = scale_of(ib, i + 16u);
    const uint l = (i / 128u) * 4u + (i & 32u) / 16u, h = (i / 128u) * 2u, l_shift = (i & 64u) / 16u, h_shift = (i & 96u) / 16u;
    const uvec4 a = ((q_unit(ib, l) >> l_shift) & 0x0F0F0F0Fu) | (((high_unit(ib, h) >> h_shift) & 0x03030303u) << 4);
    const uvec4 b = ((q_unit(ib, l + 1u) >> l_shift) & 0x0F0F0F0Fu) | (((high_unit(ib, h + 1u) >> h_shift) & 0x03030303u) << 4);
    for (uint j = 0; j < 4u; ++j) {
        v[j] = (unsigned_bytes(a[j]) - 32.0) * first;
        v[j + 4u] = (unsigned_bytes(b[j]) - 32.0) * second;
    }
}
#endif
