#pragma once
// The packed blocks of every storage format, byte for byte as in a GGUF file (little-endian). What each bit means is
// said in the codec file. Source: the ggml block definitions that the GGUF specification names.

#include <bit>
#include <cstddef>
#include <cstdint>

#include "quant/format.h"

namespace atlas {

static_assert(std::endian::native == std::endian::little, "blocks are read and written in place");

template <Format F>
struct Block;

template <>
struct Block<Format::f32> {
    float value;
};
template <>
struct Block<Format::f16> {
    uint16_t value;
};
template <>
struct Block<Format::bf16> {
    uint16_t value;
};

template <>
struct Block<Format::q4_0> {
    uint16_t d;
    uint8_t q[16];
};
template <>
struct Block<Format::q4_1> {
    uint16_t d;
    uint16_t m;
    uint8_t q[16];
};
template <>
struct Block<Format::q5_0> {
    uint16_t d;
    uint8_t qh[4];
    uint8_t q[16];
};
template <>
struct Block<Format::q5_1> {
    uint16_t d;
    uint16_t m;
    uint8_t qh[4];
    uint8_t q[16];
};
template <>
struct Block<Format::q8_0> {
    uint16_t d;
    int8_t q[32];
};

template <>
struct Block<Format::q2_k> {
    uint8_t scales[16];
    uint8_t q[64];
    uint16_t d;
    uint16_t dmin;
};
template <>
struct Block<Format::q3_k> {
    uint8_t hmask[32];
    uint8_t q[64];
    uint8_t scales[12];
    uint16_t d;
};
template <>
struct Block<Format::q4_k> {
    uint16_t d;
    uint16_t dmin;
    uint8_t scales[12];
    uint8_t q[128];
};
template <>
struct Block<Format::q5_k> {
    uint16_t d;
    uint16_t dmin;
    uint8_t scales[12];
    uint8_t qh[32];
    uint8_t q[128];
};
template <>
struct Block<Format::q6_k> {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d;
};

template <>
struct Block<Format::iq4_nl> {
    uint16_t d;
    uint8_t q[16];
};
template <>
struct Block<Format::iq4_xs> {
    uint16_t d;
    uint16_t scales_h;
    uint8_t scales_l[4];
    uint8_t q[128];
};
template <>
struct Block<Format::mxfp4> {
    uint8_t e;
    uint8_t q[16];
};

#define ATLAS_FORMAT(name, gguf_id, block_elems, block_bytes) \
    static_assert(sizeof(Block<Format::name>) == (block_bytes));
#include "quant/formats.def"
#undef ATLAS_FORMAT

}  // namespace atlas
