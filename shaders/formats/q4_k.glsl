// q4_k: 256 nibbles in 8 sub-blocks of 32, each with a 6-bit scale and a 6-bit minimum, 144 bytes.
// Element i: d * scale[i / 32] * code - dmin * min[i / 32]; code is the low (even sub-block) or high nibble of byte
// 32 * (i / 64) + i % 32 of q.
#ifdef FORMAT_STRUCT
struct Block {
    uvec4 head;  // halves d and dmin; then three words of scales and minimums. Sub-blocks 0..3: six low bits of words 0 (scale) and 1 (min);
                 // 4..7: nibbles of word 2 and the top two bits of words 0 and 1
    uvec4 q[8];
};
const uint kBlockElems = 256;
#endif

#ifdef FORMAT_FUNCTIONS
uint q_word(uint ib, uint k) { return W_BLOCK(ib).q[k / 4u][k & 3u]; }
uvec4 q_unit(uint ib, uint k) { return W_BLOCK(ib).q[k]; }

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
    return unsigned_bytes((q_word(ib, (i / 64u) * 8u + (i & 31u) / 4u) >> ((i & 32u) / 8u)) & 0x0F0F0F0Fu);
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
    const uint at = (i / 64u) * 2u, shift = (i & 32u) / 8u;
    const uvec4 a = (q_unit(ib, at) >> shift) & 0x0F0F0F0Fu, b = (q_unit(ib, at + 1u) >> shift) & 0x0F0F0F0Fu;
    for (uint j = 0; j < 4u; ++j) {
        v[j] = fma(unsigned_bytes(a[j]), vec4(s.x), vec4(-s.y));
        v[j + 4u] = fma(unsigned_bytes(b[j]), vec4(s.x), vec4(-s.y));
    }
}

#define HAS_CODES32
const uint kRunElems = 32;
// The codes of 32 elements, and scale and minimum of each run of them: element = scale * code - minimum.
void codes32(uint ib, uint i, out vec4 codes[8], out vec2 s[1]) {
    s[0] = scale_min(ib, i);
    const uint shift = (i & 32u) / 8u;
    for (uint j = 0; j < 8u; ++j) codes[j] = vec4(ivec4((uvec4(q_word(ib, (i / 64u) * 8u + j)) >> (uvec4(0, 8, 16, 24) + shift)) & 15u));
}
#endif
