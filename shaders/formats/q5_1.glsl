// q5_1: 32 codes of 5 bits, a half scale and a half offset, 24 bytes. Element i: d * code + m.
// Low four bits as in q4_1; bit i of qh is the fifth bit of element i.
#ifdef FORMAT_STRUCT
struct Block {
    float16_t d;
    float16_t m;
    uint qh;
    uint q[4];
};
const uint kBlockElems = 32;
#endif

#ifdef FORMAT_FUNCTIONS
vec4 codes4(uint ib, uint i) {
    const uint low = W_BLOCK(ib).q[(i & 15u) / 4u] >> ((i & 16u) / 4u);
    return unsigned_bytes((low & 0x0F0F0F0Fu) | (spread_bits(W_BLOCK(ib).qh >> i) << 4));
}

vec4 dequant4(uint ib, uint i) {
    return codes4(ib, i) * float(W_BLOCK(ib).d) + float(W_BLOCK(ib).m);
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const float d = float(W_BLOCK(ib).d);
    const float m = float(W_BLOCK(ib).m);
    for (uint j = 0; j < 8u; ++j) v[j] = codes4(ib, 4u * j) * d + m;
}
#endif
