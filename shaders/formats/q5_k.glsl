// q5_k: 256 codes of 5 bits in 8 sub-blocks of 32, each with a 6-bit scale and a 6-bit minimum, 176 bytes.
// Element i: d * scale[i / 32] * code - dmin * min[i / 32]; the low four bits as in q4_k, the fifth is bit i / 32 of byte
// i % 32 of qh.
#ifdef FORMAT_STRUCT
struct Block {
    uvec4 head;  // as in q4_k
    uvec4 qh[2];
    uvec4 q[8];
};
const uint kBlockElems = 256;
#endif

#ifdef FORMAT_FUNCTIONS
uint q_word(uint ib, uint k) { return W_BLOCK(ib).q[k / 4u][k & 3u]; }
uvec4 q_unit(uint ib, uint k) { return W_BLOCK(ib).q[k]; }
uint high_word(uint ib, uint k) { return W_BLOCK(ib).qh[k / 4u][k & 3u]; }
uvec4 high_unit(uint ib, uint k) { return W_BLOCK(ib).qh[k]; }

// Scales (x) and minimums (y) of four sub-blocks, a byte each: the first or the second half of the block.
uvec2 scale_bytes(uvec4 head, bool second) {
    const uvec2 low = uvec2(head.w, head.w >> 4) & 0x0F0F0F0Fu, top = (head.yz >> 2) & 0x30303030u;
    return mix(head.yz & 0x3F3F3F3Fu, low | top, bvec2(second));
}

// Scale and minimum of the sub-block of element i, multiplied out.
vec2 scale_min(uint ib, uint i) {
    const uvec4 head = W_BLOCK(ib).head;
    return unpackHalf2x16(head.x) * vec2((scale_bytes(head, i >= 128u) >> ((i / 4u) & 24u)) & 255u);
}

vec4 codes4(uint ib, uint i) {
    const uint column = (i & 31u) / 4u;
    const uint low = (q_word(ib, (i / 64u) * 8u + column) >> ((i & 32u) / 8u)) & 0x0F0F0F0Fu;
    const uint high = (high_word(ib, column) >> (i / 32u)) & 0x01010101u;
    return unsigned_bytes(low | (high << 4));
}

vec4 dequant4(uint ib, uint i) {
    const vec2 s = scale_min(ib, i);
    return codes4(ib, i) * s.x - s.y;
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const vec2 s = scale_min(ib, i);
    const uint at = (i / 64u) * 2u, shift = (i & 32u) / 8u, bit = i / 32u;
    for (uint k = 0; k < 2u; ++k) {
        const uvec4 codes = ((q_unit(ib, at + k) >> shift) & 0x0F0F0F0Fu) | (((high_unit(ib, k) >> bit) & 0x01010101u) << 4);
        for (uint j = 0; j < 4u; ++j) v[4u * k + j] = fma(unsigned_bytes(codes[j]), vec4(s.x), vec4(-s.y));
    }
}

#define HAS_CODES32
const uint kRunElems = 32;
// The codes of 32 elements, and scale and minimum of each run of them: element = scale * code - minimum.
void codes32(uint ib, uint i, out vec4 codes[8], out vec2 s[1]) {
    s[0] = scale_min(ib, i);
    for (uint j = 0; j < 8u; ++j) codes[j] = codes4(ib, i + 4u * j);
}
#endif
