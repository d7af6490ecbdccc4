#pragma once
// What a codec file defines for its format: decoding and encoding of one block. quant/codec.cpp calls them for rows.

#include <span>

#include "quant/blocks.h"

namespace atlas {

// decode: block -> its elements.
// encode: elements -> block, `importance` being empty or one weight of squared error per element.
#define ATLAS_FORMAT(name, gguf_id, block_elems, block_bytes)                         \
    void decode(const Block<Format::name>& block, std::span<float, block_elems> out); \
    void encode(std::span<const float, block_elems> in, std::span<const float> importance, Block<Format::name>& block);
#include "quant/formats.def"
#undef ATLAS_FORMAT

}  // namespace atlas
