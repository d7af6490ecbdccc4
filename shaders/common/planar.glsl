// Reading weights in the planar layout (quant/planar.h): storage of whole 16-byte units, addressed by the byte. A format file under
// `#ifdef PLANAR` includes it in place of its Block (FORMAT_STRUCT) and again before its functions (FORMAT_FUNCTIONS).
#ifdef FORMAT_STRUCT
struct Block {
    uvec4 words;
};
#endif

#ifdef FORMAT_FUNCTIONS
// First byte of block ib's part of a plane. block_bytes: of the format; before: bytes of a block in the planes before; bytes: in this one.
#define PLANE_AT(ib, block_bytes, before, bytes) ((ib) / 16u * (16u * block_bytes) + 16u * before + (ib) % 16u * bytes)

// at: a multiple of 16, 4 or 2 bytes, any.
uvec4 unit_at(uint at) { return W_BLOCK(at / 16u).words; }
uint word_at(uint at) { return W_BLOCK(at / 16u).words[(at / 4u) & 3u]; }
uint half_word_at(uint at) { return (word_at(at) >> ((at & 2u) * 8u)) & 0xFFFFu; }
uint byte_at(uint at) { return (word_at(at) >> ((at & 3u) * 8u)) & 0xFFu; }
float half_at(uint at) { return unpackHalf2x16(half_word_at(at)).x; }
#endif
