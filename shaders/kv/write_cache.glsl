// Writing 32 elements of K or V into a cache row; used by kernels that declare, under these names,
// writeonly k_words[] and v_words[] (uint), k_halves[] and v_halves[] (uint16_t, the same buffers), and include common/types.glsl,
// common/half.glsl, common/cache_layout.glsl and common/cache_quantize.glsl.
void put_word(bool is_k, uint at, uint word) {
    if (is_k) k_words[at] = word;
    else v_words[at] = word;
}

void put_half(bool is_k, uint at, uint half_word) {
    if (is_k) k_halves[at] = uint16_t(half_word);
    else v_halves[at] = uint16_t(half_word);
}

// The bfloat16 nearest to x, ties to even; NaN stays NaN.
uint bf16_bits(float x) {
    const uint bits = floatBitsToUint(x);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return bits >> 16 | 0x40u;
    return (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
}

void write_floats(uint format, bool is_k, uint row_word, uint col, uint width, vec4 x[8]) {
    [[unroll]] for (uint i = 0u; i < 8u; ++i) {
        const uint at = col + 4u * i;
        if (at >= width) break;
        if (format == ATLAS_CACHE_F32) {
            [[unroll]] for (uint j = 0u; j < 4u; ++j) put_word(is_k, row_word + at + j, floatBitsToUint(x[i][j]));
        } else if (format == ATLAS_CACHE_F16) {
            put_word(is_k, row_word + at / 2u, half_bits(x[i].x) | half_bits(x[i].y) << 16);
            put_word(is_k, row_word + at / 2u + 1u, half_bits(x[i].z) | half_bits(x[i].w) << 16);
        } else {
            put_word(is_k, row_word + at / 2u, bf16_bits(x[i].x) | bf16_bits(x[i].y) << 16);
            put_word(is_k, row_word + at / 2u + 1u, bf16_bits(x[i].z) | bf16_bits(x[i].w) << 16);
        }
    }
}

// The half that a block stores for a scale: never infinite.
uint scale_bits(float scale) { return half_bits(clamp(scale, -65504.0, 65504.0)); }

// The value that a device reads back for those bits.
float scale_of(uint bits) { return unpackHalf2x16(bits).x; }
float inverse_or_zero(float scale) { return scale != 0.0 ? 1.0 / scale : 0.0; }

// scale_word: d, or d | m << 16.
void put_scale(uint format, bool is_k, uint row_word, uint block, uint blocks, uint scale_word) {
    const uint scales = row_word + cache_scales_word(format, blocks);
    if (cache_has_minimum(format)) put_word(is_k, scales + block, scale_word);
    else put_half(is_k, scales * 2u + block, scale_word);
}

// codes: of q8_0 two's complement, else 0 .. 31.
void put_codes(uint format, bool is_k, uint row_word, uint block, uint blocks, uvec4 codes[8]) {
    if (format == ATLAS_CACHE_Q8_0) {
        [[unroll]] for (uint i = 0u; i < 8u; ++i) {
            const uvec4 c = codes[i] & 255u;
            put_word(is_k, row_word + block * 8u + i, c.x | c.y << 8 | c.z << 16 | c.w << 24);
        }
        return;
    }
    uint bits = 0u;
    [[unroll]] for (uint i = 0u; i < 4u; ++i) {
        const uvec4 c = (codes[i] & 15u) | (codes[i + 4u] & 15u) << 4;
        put_word(is_k, row_word + block * 4u + i, c.x | c.y << 8 | c.z << 16 | c.w << 24);
        const uvec4 low = codes[i] >> 4, high = codes[i + 4u] >> 4;
        bits |= (low.x | low.y << 1 | low.z << 2 | low.w << 3) << (4u * i);
        bits |= (high.x | high.y << 1 | high.z << 2 | high.w << 3) << (4u * i + 16u);
    }
    if (cache_has_fifth_bit(format)) put_word(is_k, row_word + cache_fifth_bits_word(blocks) + block, bits);
}

void write_block(uint format, bool is_k, uint row_word, uint block, uint blocks, vec4 x[8]) {
    uvec4 codes[8];
    if (cache_has_minimum(format)) {
        const float most = format == ATLAS_CACHE_Q5_1 ? 31.0 : 15.0;
        const vec2 fit = fit_affine(x, most);
        const uint d = scale_bits(fit.x), m = scale_bits(-fit.y);
        const float inverse = inverse_or_zero(scale_of(d)), minimum = -scale_of(m);
        [[unroll]] for (uint i = 0u; i < 8u; ++i) {
            precise const vec4 shifted = (x[i] + minimum) * inverse;
            codes[i] = uvec4(nearest_levels(shifted, 0.0, most));
        }
        put_scale(format, is_k, row_word, block, blocks, d | m << 16);
    } else {
        const float low = format == ATLAS_CACHE_Q8_0 ? -127.0 : format == ATLAS_CACHE_Q5_0 ? -16.0 : -8.0;
        const float high = format == ATLAS_CACHE_Q8_0 ? 127.0 : format == ATLAS_CACHE_Q5_0 ? 15.0 : 7.0;
        const uint d = scale_bits(fit_scale(x, low, high));
        const float inverse = inverse_or_zero(scale_of(d));
        const float zero = format == ATLAS_CACHE_Q8_0 ? 0.0 : -low;
        [[unroll]] for (uint i = 0u; i < 8u; ++i) codes[i] = uvec4(ivec4(nearest_levels(x[i] * inverse, low, high) + zero));
        put_scale(format, is_k, row_word, block, blocks, d);
    }
    put_codes(format, is_k, row_word, block, blocks, codes);
}

// The elements from 32 * block on of a row that begins at a multiple of 16 bytes.
void write_cache(uint format, bool is_k, uint row_unit, uint block, uint width, vec4 x[8]) {
    if (cache_in_blocks(format)) write_block(format, is_k, 4u * row_unit, block, width / 32u, x);
    else write_floats(format, is_k, 4u * row_unit, block * 32u, width, x);
}
