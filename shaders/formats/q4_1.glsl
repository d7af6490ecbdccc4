// q4_1: 32 nibbles, a half scale and a half offset, 20 bytes. Element i: d * code + m.
// Elements 0..15 are the low nibbles of the 16 bytes, 16..31 the high ones.
#ifdef FORMAT_STRUCT
struct Block {
    float16_t d;
    float16_t m;
    uint q[4];
};
const uint kBlockElems = 32;
#endif

#ifdef FORMAT_FUNCTIONS
vec4 codes4(uint ib, uint i) {
    return unsigned_bytes((W_BLOCK(ib).q[(i & 15u) / 4u] >> ((i & 16u) / 4u)) & 0x0F0F0F0Fu);
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
    for (uint j = 0; j < 4u; ++j) {
        const uint word = W_BLOCK(ib).q[j];
        v[j] = unsigned_bytes(word & 0x0F0F0F0Fu) * d + m;
        v[j + 4u] = unsigned_bytes((word >> 4) & 0x0F0F0F0Fu) * d + m;
    }
}
#endif
