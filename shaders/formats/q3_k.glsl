// q3_k: 256 codes of 3 bits in 16 sub-blocks of 16 with a 6-bit scale each, 110 bytes.
// Element i: d * (scale[i / 16] - 32) * (code - 4); the low two bits as in q2_k, the third is bit i / 32 of byte i % 32 of hmask.
#ifdef FORMAT_STRUCT
struct Block {
    uint16_t hmask[16];
    uint16_t q[32];
    uint16_t scales[6];  // 12 bytes: nibbles of sub-blocks 0..7 (low) and 8..15 (high) in 8 bytes, then the top two bits of all
    float16_t d;
};
const uint kBlockElems = 256;
#endif

#ifdef FORMAT_FUNCTIONS
// Scale of the sub-block of element i, multiplied out.
float scale_of(uint ib, uint i) {
    const uint s = i / 16u;
    const uint low = uint(W_BLOCK(ib).scales[(s & 7u) / 2u]) >> ((s & 1u) * 8u + (s & 8u) / 2u);
    const uint high = uint(W_BLOCK(ib).scales[4u + (s & 3u) / 2u]) >> ((s & 1u) * 8u + (s / 4u) * 2u);
    return float(W_BLOCK(ib).d) * (float((low & 15u) | ((high & 3u) << 4)) - 32.0);
}

vec4 codes4(uint ib, uint i) {
    const uint column = (i & 31u) / 2u;
    const uint at = (i / 128u) * 16u + column;
    const uint low = (WORD_OF(W_BLOCK(ib).q[at], W_BLOCK(ib).q[at + 1u]) >> ((i & 96u) / 16u)) & 0x03030303u;
    const uint high = (WORD_OF(W_BLOCK(ib).hmask[column], W_BLOCK(ib).hmask[column + 1u]) >> (i / 32u)) & 0x01010101u;
    return unsigned_bytes(low | (high << 2)) - 4.0;
}

vec4 dequant4(uint ib, uint i) {
    return codes4(ib, i) * scale_of(ib, i);
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const float first = scale_of(ib, i);
    const float second = scale_of(ib, i + 16u);
    for (uint j = 0; j < 8u; ++j) v[j] = codes4(ib, i + 4u * j) * (j < 4u ? first : second);
}
#endif
