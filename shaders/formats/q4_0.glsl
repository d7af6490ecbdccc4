// q4_0: 32 nibbles and a half scale, 18 bytes. Element i: d * (code - 8).
// Elements 0..15 are the low nibbles of the 16 bytes, 16..31 the high ones.
#ifdef FORMAT_STRUCT
struct Block {
    float16_t d;
    uint16_t q[8];
};
const uint kBlockElems = 32;
#endif

#ifdef FORMAT_FUNCTIONS
vec4 codes4(uint ib, uint i) {
    const uint at = (i & 15u) / 2u;
    const uint word = WORD_OF(W_BLOCK(ib).q[at], W_BLOCK(ib).q[at + 1u]);
    return unsigned_bytes((word >> ((i & 16u) / 4u)) & 0x0F0F0F0Fu) - 8.0;
}

vec4 dequant4(uint ib, uint i) {
    return codes4(ib, i) * float(W_BLOCK(ib).d);
}

float dequant(uint ib, uint i) {
    return dequant4(ib, i & ~3u)[i & 3u];
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    const float d = float(W_BLOCK(ib).d);
    for (uint j = 0; j < 4u; ++j) {
        const uint word = WORD_OF(W_BLOCK(ib).q[2u * j], W_BLOCK(ib).q[2u * j + 1u]);
        v[j] = (unsigned_bytes(word & 0x0F0F0F0Fu) - 8.0) * d;
        v[j + 4u] = (unsigned_bytes((word >> 4) & 0x0F0F0F0Fu) - 8.0) * d;
    }
}
#endif
