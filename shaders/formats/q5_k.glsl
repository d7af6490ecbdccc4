// q5_k: 256 codes of 5 bits in 8 sub-blocks of 32, each with a 6-bit scale and a 6-bit minimum, 176 bytes.
// Element i: d * scale[i / 32] * code - dmin * min[i / 32]; the low four bits as in q4_k, the fifth is bit i / 32 of byte
// i % 32 of qh.
#ifdef FORMAT_STRUCT
struct Block {
    uint d_dmin;  // two halves
    uint scales[3];  // packed as in q4_k
    uint qh[8];
    uint q[32];
};
const uint kBlockElems = 256;
#endif

#ifdef FORMAT_FUNCTIONS
// Scale and minimum of the sub-block of element i, multiplied out.
vec2 scale_min(uint ib, uint i) {
    const uint shift = (i / 4u) & 24u;
    const uint a = W_BLOCK(ib).scales[0] >> shift;
    const uint b = W_BLOCK(ib).scales[1] >> shift;
    const uint c = W_BLOCK(ib).scales[2] >> shift;
    const bool first = i < 128u;
    const uint scale = first ? a & 63u : (c & 15u) | ((a & 0xC0u) >> 2);
    const uint low = first ? b & 63u : ((c & 0xF0u) >> 4) | ((b & 0xC0u) >> 2);
    return unpackHalf2x16(W_BLOCK(ib).d_dmin) * vec2(scale, low);
}

vec4 codes4(uint ib, uint i) {
    const uint column = (i & 31u) / 4u;
    const uint low = (W_BLOCK(ib).q[(i / 64u) * 8u + column] >> ((i & 32u) / 8u)) & 0x0F0F0F0Fu;
    const uint high = (W_BLOCK(ib).qh[column] >> (i / 32u)) & 0x01010101u;
    return unsigned_bytes(low | (high << 4));
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
    for (uint j = 0; j < 8u; ++j) v[j] = fma(codes4(ib, i + 4u * j), vec4(s.x), vec4(-s.y));
}

#define HAS_CODES32
const uint kRunElems = 32;
// The codes of 32 elements, and scale and minimum of each run of them: element = scale * code - minimum.
void codes32(uint ib, uint i, out vec4 codes[8], out vec2 s[1]) {
    s[0] = scale_min(ib, i);
    for (uint j = 0; j < 8u; ++j) codes[j] = codes4(ib, i + 4u * j);
}
#endif
