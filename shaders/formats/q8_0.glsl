// q8_0: 32 signed bytes and a half scale, 34 bytes. Element i: d * q[i].
#ifdef FORMAT_STRUCT
struct Block {
    float16_t d;
    uint16_t q[16];
};
const uint kBlockElems = 32;
#endif

#ifdef FORMAT_FUNCTIONS
vec4 codes4(uint ib, uint i) {
    return signed_bytes(WORD_OF(W_BLOCK(ib).q[i / 2u], W_BLOCK(ib).q[i / 2u + 1u]));
}

vec4 dequant4(uint ib, uint i) {
    return codes4(ib, i) * float(W_BLOCK(ib).d);
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const float d = float(W_BLOCK(ib).d);
    for (uint j = 0; j < 8u; ++j) v[j] = codes4(ib, 4u * j) * d;
}
#endif
