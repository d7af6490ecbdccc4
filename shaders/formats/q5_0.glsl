// q5_0: 32 codes of 5 bits and a half scale, 22 bytes. Element i: d * (code - 16).
// Low four bits as in q4_0; bit i of qh is the fifth bit of element i.
#ifdef FORMAT_STRUCT
struct Block {
    float16_t d;
    uint16_t qh[2];
    uint16_t q[8];
};
const uint kBlockElems = 32;
#endif

#ifdef FORMAT_FUNCTIONS
vec4 codes4(uint ib, uint i) {
    const uint at = (i & 15u) / 2u;
    const uint low = WORD_OF(W_BLOCK(ib).q[at], W_BLOCK(ib).q[at + 1u]) >> ((i & 16u) / 4u);
    const uint high = spread_bits(uint(W_BLOCK(ib).qh[i / 16u]) >> (i & 15u));
    return unsigned_bytes((low & 0x0F0F0F0Fu) | (high << 4)) - 16.0;
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
