// iq4_xs: 256 nibbles in 8 sub-blocks of 32 with a 6-bit scale each, 136 bytes.
// Element i: d * (scale[i / 32] - 32) * nonlinear4(code); each sub-block has 16 bytes of q, nibbles placed as in q4_0.
#ifdef FORMAT_STRUCT
struct Block {
    float16_t d;
    uint16_t scales_h;  // two top bits of each scale
    uint scales_l;      // four low bits of each scale
    uint q[32];
};
const uint kBlockElems = 256;
#endif

#ifdef FORMAT_FUNCTIONS
#include "common/nonlinear4.glsl"

// Scale of the sub-block of element i, multiplied out.
float scale_of(uint ib, uint i) {
    const uint low = (W_BLOCK(ib).scales_l >> ((i / 32u) * 4u)) & 15u;
    const uint high = (uint(W_BLOCK(ib).scales_h) >> ((i / 32u) * 2u)) & 3u;
    return float(W_BLOCK(ib).d) * (float(low | (high << 4)) - 32.0);
}

vec4 codes4(uint ib, uint i) {
    return nonlinear4x4(W_BLOCK(ib).q[(i / 32u) * 4u + (i & 15u) / 4u] >> ((i & 16u) / 4u));
}

vec4 dequant4(uint ib, uint i) {
    return codes4(ib, i) * scale_of(ib, i);
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const float s = scale_of(ib, i);
    for (uint j = 0; j < 8u; ++j) v[j] = codes4(ib, i + 4u * j) * s;
}
#endif
