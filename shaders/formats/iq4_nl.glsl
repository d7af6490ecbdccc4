// iq4_nl: 32 nibbles and a half scale, 18 bytes. Element i: d * nonlinear4(code), nibbles placed as in q4_0.
#ifdef FORMAT_STRUCT
struct Block {
    float16_t d;
    uint16_t q[8];
};
const uint kBlockElems = 32;
#endif

#ifdef FORMAT_FUNCTIONS
#include "common/nonlinear4.glsl"

vec4 codes4(uint ib, uint i) {
    const uint at = (i & 15u) / 2u;
    return nonlinear4x4(WORD_OF(W_BLOCK(ib).q[at], W_BLOCK(ib).q[at + 1u]) >> ((i & 16u) / 4u));
}

vec4 dequant4(uint ib, uint i) {
    return codes4(ib, i) * float(W_BLOCK(ib).d);
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const float d = float(W_BLOCK(ib).d);
    for (uint j = 0; j < 8u; ++j) v[j] = codes4(ib, 4u * j) * d;
}
#endif
