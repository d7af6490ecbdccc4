#pragma once
// A second layout of quantized matrices, made at load, in which every load can be 16 bytes wide and aligned. Blocks of
// 17, 18, 34 or 210 bytes start at odd places; here each group of 16 consecutive blocks is stored plane by plane: first
// one field of all 16 blocks, then the next. A group takes the same bytes at the same place as its 16 blocks did, so
// offsets, strides and views of rows stay what they are and count in blocks; only the last group of a storage is filled
// up. Groups start at the start of the storage, whatever row they begin in.

#include <span>
#include <string_view>

#include "quant/format.h"

namespace atlas {

enum class Layout : uint8_t {
    blocks,  // as in the file
    planar,  // in groups of kGroupBlocks
};
std::string_view name_of(Layout layout);

inline constexpr uint32_t kGroupBlocks = 16;

/// Whether the format has planes (quant/planes.def).
bool has_planes(Format format);
/// Whether a matrix with rows of `cols` elements may be stored so: halves only in rows of whole groups.
inline bool can_be_planar(Format format, uint32_t cols) {
    return has_planes(format) && (info(format).block_elems > 1 || cols % kGroupBlocks == 0);
}

/// The unit in which bytes of this layout can be cut: a block, or a group of blocks.
constexpr uint32_t unit_bytes(Format format, Layout layout) {
    return info(format).block_bytes * (layout == Layout::planar ? kGroupBlocks : 1);
}

/// Bytes of storage for `elems` elements: blocks as they are, or whole groups.
constexpr uint64_t stored_bytes(Format format, Layout layout, uint64_t elems) {
    const uint64_t unit = unit_bytes(format, layout);
    return (bytes_of(format, elems) + unit - 1) / unit * unit;
}

/// Regroups whole groups of blocks, or takes them apart again. from, to: the same number of bytes, a multiple of
/// unit_bytes(format, Layout::planar), not overlapping. Requires has_planes(format).
void to_planar(Format format, std::span<const std::byte> from, std::span<std::byte> to);
void from_planar(Format format, std::span<const std::byte> from, std::span<std::byte> to);

}  // namespace atlas
