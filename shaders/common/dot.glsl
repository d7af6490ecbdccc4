// Four signed bytes to a word: making and multiplying them. Include it after common/types.glsl.
#ifndef ATLAS_DOT_GLSL
#define ATLAS_DOT_GLSL
#extension GL_EXT_integer_dot_product : require

// A dot form (formats/dot/<fmt>.glsl) gives, for the block formats whose weights are small integers times a scale:
//   kDotScales  how many scales 32 weights have: 1 or 2 (a scale per 16)
//   kDotHasLow  whether there is an addend beside the scale
//   dot32(ib, i, codes, scale, low)  32 weights of block ib from element i on, i a multiple of 32:
//               w[e] = scale[e / 16] * codes[e] + low[e / 16], codes signed bytes in the order of the elements.
// With kDotScales == 1 both scales (and addends) are the same.

// Each byte, 0 .. 127, minus a number of the same range: no borrow leaves a byte whose top bit is set.
uint bytes_minus(uint bytes, uint number) {
    return ((bytes | 0x80808080u) - number * 0x01010101u) ^ 0x80808080u;
}

int dot16(uvec4 a, uvec4 b) {
    return dotPacked4x8EXT(int(a.x), int(b.x)) + dotPacked4x8EXT(int(a.y), int(b.y)) + dotPacked4x8EXT(int(a.z), int(b.z)) +
           dotPacked4x8EXT(int(a.w), int(b.w));
}
#endif
