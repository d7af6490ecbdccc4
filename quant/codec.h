#pragma once
// Reading and writing rows of every storage format on the CPU. This is the reference that the shaders are tested
// against.

#include <span>

#include "quant/format.h"

namespace atlas {

/// Decodes whole blocks into floats.  src: [out.size() / block_elems] blocks, packed.
/// Requires out.size() % block_elems == 0 and src.size() == bytes_of(format, out.size()).
void dequantize_row(Format format, std::span<const std::byte> src, std::span<float> out);

/// Encodes floats into whole blocks, deterministic. The same requirements with src and out exchanged.
/// `importance`: [in.size()] weights of squared error per element, or empty for equal weights.
void quantize_row(Format format, std::span<const float> in, std::span<std::byte> out,
                  std::span<const float> importance = {});

}  // namespace atlas
