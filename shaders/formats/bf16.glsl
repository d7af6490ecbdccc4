// bf16: the upper 16 bits of a single, 2 bytes. A block is one element, so dequant4 and dequant32 read the following blocks too.
#ifdef PLANAR
#include "common/planar.glsl"
#endif

#ifdef FORMAT_STRUCT
#ifndef PLANAR
struct Block {
    uint16_t value;
};
#endif
const uint kBlockElems = 1;
#endif

#ifdef FORMAT_FUNCTIONS
float dequant(uint ib, uint i) {
#ifdef PLANAR
    return uintBitsToFloat(half_word_at(2u * (ib + i)) << 16);
#else
    return uintBitsToFloat(uint(W_BLOCK(ib + i).value) << 16);
#endif
}

vec4 dequant4(uint ib, uint i) {
    return vec4(dequant(ib, i), dequant(ib, i + 1u), dequant(ib, i + 2u), dequant(ib, i + 3u));
}

// Four of two words.
vec4 halves4(uvec2 words) {
    return uintBitsToFloat(uvec4(words.x << 16, words.x & 0xFFFF0000u, words.y << 16, words.y & 0xFFFF0000u));
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
#ifdef PLANAR
    for (uint j = 0; j < 4u; ++j) {
        const uvec4 words = unit_at(2u * (ib + i) + 16u * j);
        v[2u * j] = halves4(words.xy);
        v[2u * j + 1u] = halves4(words.zw);
    }
#else
    for (uint j = 0; j < 8u; ++j) v[j] = dequant4(ib, i + 4u * j);
#endif
}
#endif
