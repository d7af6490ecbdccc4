// q6_k: 256 codes of 6 bits in 16 sub-blocks of 16 with a signed 8-bit scale each, 210 bytes.
// Element i: d * scale[i / 16] * (code - 32). In each half of 128, r = i % 128: the low four bits are the low (r < 64) or
// high nibble of byte r % 64 of its 64 bytes of ql, the upper two are bits 2 * (r / 32).. of byte r % 32 of its 32 bytes of qh.
#ifdef FORMAT_STRUCT
struct Block {
    uint16_t ql[64];
    uint16_t qh[32];
    uint16_t scales[8];  // two signed bytes each
    float16_t d;
};
const uint kBlockElems = 256;
#endif

#ifdef FORMAT_FUNCTIONS
// Scale of the sub-block of element i, multiplied out.
float scale_of(uint ib, uint i) {
    const int pair = int(uint(W_BLOCK(ib).scales[i / 32u]));
    return float(W_BLOCK(ib).d) * float(bitfieldExtract(pair, int((i & 16u) / 2u), 8));
}

vec4 codes4(uint ib, uint i) {
    const uint l = (i / 128u) * 32u + (i & 63u) / 2u;
    const uint h = (i / 128u) * 16u + (i & 31u) / 2u;
    const uint low = (WORD_OF(W_BLOCK(ib).ql[l], W_BLOCK(ib).ql[l + 1u]) >> ((i & 64u) / 16u)) & 0x0F0F0F0Fu;
    const uint high = (WORD_OF(W_BLOCK(ib).qh[h], W_BLOCK(ib).qh[h + 1u]) >> ((i & 96u) / 16u)) & 0x03030303u;
    return unsigned_bytes(low | (high << 4)) - 32.0;
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
