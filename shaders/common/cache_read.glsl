// Reads elements of one cache (K or V) as floats. Include it once per cache, with these macros defined; it undefines them:
//   CACHE_LOAD8, CACHE_LOAD16   names of the functions to make
//   CACHE_FORMAT                specialization constant, ATLAS_CACHE_*
//   CACHE_WIDTH                 elements of a row
//   CACHE_UNITS, CACHE_PAIRS, CACHE_WORDS   arrays of uvec4, of uvec2 and of uint over the same binding: no compiler sees that words lie side by
//                                           side, and reads them one by one
// row_unit: where the row begins, in units of 16 bytes. col: first element in the row, a multiple of 8 or of 16.

// Eight elements. For block formats this is a quarter of a block.
void CACHE_LOAD8(uint row_unit, uint col, out vec4 v[2]) {
    if (CACHE_FORMAT == ATLAS_CACHE_F32) {
        v[0] = uintBitsToFloat(CACHE_UNITS[row_unit + col / 4u]);
        v[1] = uintBitsToFloat(CACHE_UNITS[row_unit + col / 4u + 1u]);
        return;
    }
    if (CACHE_FORMAT == ATLAS_CACHE_F16) {
        const uvec4 bits = CACHE_UNITS[row_unit + col / 8u];
        v[0] = vec4(unpackHalf2x16(bits.x), unpackHalf2x16(bits.y));
        v[1] = vec4(unpackHalf2x16(bits.z), unpackHalf2x16(bits.w));
        return;
    }
    if (CACHE_FORMAT == ATLAS_CACHE_BF16) {
        const uvec4 bits = CACHE_UNITS[row_unit + col / 8u];
        v[0] = uintBitsToFloat(uvec4(bits.x << 16, bits.x & 0xFFFF0000u, bits.y << 16, bits.y & 0xFFFF0000u));
        v[1] = uintBitsToFloat(uvec4(bits.z << 16, bits.z & 0xFFFF0000u, bits.w << 16, bits.w & 0xFFFF0000u));
        return;
    }
    const uint row_word = row_unit * 4u, block = col / 32u, blocks = CACHE_WIDTH / 32u;
    const uint scales = row_word + cache_scales_word(CACHE_FORMAT, blocks);
    if (CACHE_FORMAT == ATLAS_CACHE_Q8_0) {
        const float d = unpackHalf2x16(CACHE_WORDS[scales + block / 2u] >> (16u * (block & 1u))).x;
        const uvec2 bytes = CACHE_PAIRS[row_unit * 2u + col / 8u];
        v[0] = d * signed_bytes(bytes.x);
        v[1] = d * signed_bytes(bytes.y);
        return;
    }
    const uint part = col / 8u & 3u, shift = (part >> 1) * 4u;
    uvec2 codes = CACHE_PAIRS[row_unit * 2u + block * 2u + (part & 1u)] >> shift & 0x0F0F0F0Fu;
    if (cache_has_fifth_bit(CACHE_FORMAT)) {
        const uint bits = CACHE_WORDS[row_word + cache_fifth_bits_word(blocks) + block] >> (part * 8u);
        codes |= uvec2(spread_bits(bits), spread_bits(bits >> 4)) << 4;
    }
    if (cache_has_minimum(CACHE_FORMAT)) {
        const vec2 dm = unpackHalf2x16(CACHE_WORDS[scales + block]);
        v[0] = dm.x * unsigned_bytes(codes.x) + dm.y;
        v[1] = dm.x * unsigned_bytes(codes.y) + dm.y;
        return;
    }
    const float d = unpackHalf2x16(CACHE_WORDS[scales + block / 2u] >> (16u * (block & 1u))).x;
    const float zero = CACHE_FORMAT == ATLAS_CACHE_Q5_0 ? 16.0 : 8.0;
    v[0] = d * (unsigned_bytes(codes.x) - zero);
    v[1] = d * (unsigned_bytes(codes.y) - zero);
}

// Sixteen elements of a block format, half a block: one load of 16 bytes for the codes, which of q8_0 are just those.
void CACHE_LOAD16(uint row_unit, uint col, out vec4 v[4]) {
    const uint row_word = row_unit * 4u, block = col / 32u, upper = col / 16u & 1u, blocks = CACHE_WIDTH / 32u;
    const uint scales = row_word + cache_scales_word(CACHE_FORMAT, blocks);
    vec2 dm = vec2(0.0);
    if (cache_has_minimum(CACHE_FORMAT)) dm = unpackHalf2x16(CACHE_WORDS[scales + block]);
    else dm.x = unpackHalf2x16(CACHE_WORDS[scales + block / 2u] >> (16u * (block & 1u))).x;
    if (CACHE_FORMAT == ATLAS_CACHE_Q8_0) {
        const uvec4 bytes = CACHE_UNITS[row_unit + block * 2u + upper];
        [[unroll]] for (uint i = 0u; i < 4u; ++i) v[i] = dm.x * signed_bytes(bytes[i]);
        return;
    }
    const uvec4 packed = CACHE_UNITS[row_unit + block] >> (4u * upper);
    uint bits = 0u;
    if (cache_has_fifth_bit(CACHE_FORMAT)) bits = CACHE_WORDS[row_word + cache_fifth_bits_word(blocks) + block] >> (16u * upper);
    const float zero = CACHE_FORMAT == ATLAS_CACHE_Q5_0 ? 16.0 : CACHE_FORMAT == ATLAS_CACHE_Q4_0 ? 8.0 : 0.0;
    [[unroll]] for (uint i = 0u; i < 4u; ++i) {
        uint codes = packed[i] & 0x0F0F0F0Fu;
        if (cache_has_fifth_bit(CACHE_FORMAT)) codes |= spread_bits(bits >> (4u * i)) << 4;
        v[i] = dm.x * (unsigned_bytes(codes) - zero) + dm.y;
    }
}
#undef CACHE_LOAD8
#undef CACHE_LOAD16
#undef CACHE_FORMAT
#undef CACHE_WIDTH
#undef CACHE_UNITS
#undef CACHE_PAIRS
#undef CACHE_WORDS
