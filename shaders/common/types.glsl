// Storage types that weight blocks are made of, and the conversions of packed integers to floats.
// Include it first: extensions must come before any declaration.
#ifndef ATLAS_TYPES_GLSL
#define ATLAS_TYPES_GLSL
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types : require
#extension GL_EXT_scalar_block_layout : require

// The four bytes of a word, lowest first, as unsigned numbers.
vec4 unsigned_bytes(uint word) {
    return vec4(word & 255u, (word >> 8) & 255u, (word >> 16) & 255u, word >> 24);
}

// The four bytes of a word, lowest first, as two's complement numbers.
vec4 signed_bytes(uint word) {
    const int bits = int(word);
    return vec4(bitfieldExtract(bits, 0, 8), bitfieldExtract(bits, 8, 8), bitfieldExtract(bits, 16, 8), bits >> 24);
}

// Two 16-bit halves of a word, the lower address first. A macro: 16-bit parameters would need the shaderInt16 feature.
#define WORD_OF(low, high) (uint(low) | (uint(high) << 16))

// Bit 0..3 of `bits` to bit 0 of byte 0..3.
uint spread_bits(uint bits) {
    return ((bits & 15u) * 0x00204081u) & 0x01010101u;  // bit i goes to places i, i + 7, i + 14, i + 21, of which one is a multiple of 8
}
#endif
