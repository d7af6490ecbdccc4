// q2_k: 256 codes of 2 bits in 16 sub-blocks of 16, each with a 4-bit scale and a 4-bit minimum, 84 bytes.
// Element i: d * (scales[i / 16] & 15) * code - dmin * (scales[i / 16] >> 4); code is bits 2 * (i % 128 / 32).. of byte
// 32 * (i / 128) + i % 32 of q.
#ifdef FORMAT_STRUCT
struct Block {
    uint scales[4];
    uint q[16];
    float16_t d;
    float16_t dmin;
};
const uint kBlockElems = 256;
#endif

#ifdef FORMAT_FUNCTIONS
// Scale and minimum of the sub-block of element i, multiplied out.
vec2 scale_min(uint ib, uint i) {
    const uint bits = W_BLOCK(ib).scales[i / 64u] >> ((i / 2u) & 24u);
    return vec2(float(W_BLOCK(ib).d) * float(bits & 15u), float(W_BLOCK(ib).dmin) * float((bits & 0xF0u) >> 4));
}

vec4 codes4(uint ib, uint i) {
    return unsigned_bytes((W_BLOCK(ib).q[(i / 128u) * 8u + (i & 31u) / 4u] >> ((i & 96u) / 16u)) & 0x03030303u);
}

vec4 dequant4(uint ib, uint i) {
    const vec2 s = scale_min(ib, i);
    return codes4(ib, i) * s.x - s.y;
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const vec2 first = scale_min(ib, i);
    const vec2 second = scale_min(ib, i + 16u);
    for (uint j = 0; j < 8u; ++j) {
        const vec2 s = j < 4u ? first : second;
        v[j] = codes4(ib, i + 4u * j) * s.x - s.y;
    }
}
#endif
