#include "quant/codec.h"

#include <cstring>

#include "quant/block_codec.h"
#include "runtime/base/check.h"

namespace atlas {
namespace {

using DequantizeRow = void (*)(std::span<const std::byte>, std::span<float>);
using QuantizeRow = void (*)(std::span<const float>, std::span<std::byte>, std::span<const float>);

// Rows may start at any byte, so blocks are copied in and out.
template <Format F>
void dequantize_blocks(std::span<const std::byte> src, std::span<float> out) {
    constexpr size_t kElems = info(F).block_elems;
    for (size_t at = 0; at < out.size() / kElems; ++at) {
        Block<F> block;
        std::memcpy(&block, src.data() + at * sizeof(block), sizeof(block));
        decode(block, std::span<float, kElems>(out.subspan(at * kElems, kElems)));
    }
}

template <Format F>
void quantize_blocks(std::span<const float> in, std::span<std::byte> out, std::span<const float> importance) {
    constexpr size_t kElems = info(F).block_elems;
    for (size_t at = 0; at < in.size() / kElems; ++at) {
        Block<F> block;
        const auto weights = importance.empty() ? importance : importance.subspan(at * kElems, kElems);
        encode(std::span<const float, kElems>(in.subspan(at * kElems, kElems)), weights, block);
        std::memcpy(out.data() + at * sizeof(block), &block, sizeof(block));
    }
}

constexpr auto kDequantizeRow = std::to_array<DequantizeRow>({
#define ATLAS_FORMAT(name, gguf_id, block_elems, block_bytes) dequantize_blocks<Format::name>,
#include "quant/formats.def"
#undef ATLAS_FORMAT
});

constexpr auto kQuantizeRow = std::to_array<QuantizeRow>({
#define ATLAS_FORMAT(name, gguf_id, block_elems, block_bytes) quantize_blocks<Format::name>,
#include "quant/formats.def"
#undef ATLAS_FORMAT
});

void check_sizes(Format format, size_t elems, size_t bytes) {
    ATLAS_CHECK(elems % info(format).block_elems == 0, "{}: {} elements are not whole blocks of {}", info(format).name,
                elems, info(format).block_elems);
    ATLAS_CHECK(bytes == bytes_of(format, elems), "{}: {} elements need {} bytes, not {}", info(format).name, elems,
                bytes_of(format, elems), bytes);
}

}  // namespace

void dequantize_row(Format format, std::span<const std::byte> src, std::span<float> out) {
    check_sizes(format, out.size(), src.size());
    kDequantizeRow[static_cast<size_t>(format)](src, out);
}

void quantize_row(Format format, std::span<const float> in, std::span<std::byte> out,
                  std::span<const float> importance) {
    check_sizes(format, in.size(), out.size());
    ATLAS_CHECK(importance.empty() || importance.size() == in.size(), "{} weights for {} elements", importance.size(),
                in.size());
    kQuantizeRow[static_cast<size_t>(format)](in, out, importance);
}

}  // namespace atlas
