// f32: IEEE single precision, 4 bytes. A block is one element, so dequant4 and dequant32 read the following blocks too.
#ifdef FORMAT_STRUCT
struct Block {
    float value;
};
const uint kBlockElems = 1;
#endif

#ifdef FORMAT_FUNCTIONS
float dequant(uint ib, uint i) {
    return W_BLOCK(ib + i).value;
}

vec4 dequant4(uint ib, uint i) {
    return vec4(dequant(ib, i), dequant(ib, i + 1u), dequant(ib, i + 2u), dequant(ib, i + 3u));
}

void dequant32(uint ib, uint i, out vec4 v[8]) {
    for (uint j = 0; j < 8u; ++j) v[j] = dequant4(ib, i + 4u * j);
}
#endif
