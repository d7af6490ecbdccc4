// How a row of the KV cache (one position: all heads, `width` elements) lies in memory. The layout differs from the
// file formats, so that codes are read 16 bytes at a time: first the codes of all blocks, then all fifth bits, then all
// scales. A row begins at a multiple of 16 bytes and takes as many bytes as the format's blocks do, rounded up to 16
// (runtime/ops/kv_layout.h, kv_row_bytes).
//   f32, f16, bf16: the elements in order.
//   block formats, B = width / 32 blocks of 32 elements:
//     codes:  q8_0: 32 signed bytes a block.  Others: 16 bytes a block, byte i holds element i (low nibble) and i + 16 (high nibble).
//     fifth bits (q5_0, q5_1): a word a block from byte 16 B on, bit i of element i.
//     scales: q8_0, q5_0, q4_0: a half d a block.  q5_1, q4_1: halves d, m a block, d first.
//   values: q8_0 d * code;  q5_0 d * (code - 16);  q4_0 d * (code - 8);  q5_1, q4_1 d * code + m.
#ifndef ATLAS_CACHE_LAYOUT_GLSL
#define ATLAS_CACHE_LAYOUT_GLSL
#include "shaders/push/cache_format.h"

bool cache_has_fifth_bit(uint format) { return format == ATLAS_CACHE_Q5_0 || format == ATLAS_CACHE_Q5_1; }
bool cache_has_minimum(uint format) { return format == ATLAS_CACHE_Q5_1 || format == ATLAS_CACHE_Q4_1; }
bool cache_in_blocks(uint format) { return format >= ATLAS_CACHE_Q8_0; }

// Words (of 4 bytes) from the start of a row of `blocks` blocks.
uint cache_fifth_bits_word(uint blocks) { return blocks * 4u; }
uint cache_scales_word(uint format, uint blocks) {
    return format == ATLAS_CACHE_Q8_0 ? blocks * 8u : cache_has_fifth_bit(format) ? blocks * 5u : blocks * 4u;
}
#endif
