#pragma once
// The table of storage formats as C++ sees it. The facts are in formats.def only.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace atlas {

enum class Format : uint8_t {
#define ATLAS_FORMAT(name, gguf_id, block_elems, block_bytes) name,
#include "quant/formats.def"
#undef ATLAS_FORMAT
};

struct FormatInfo {
    std::string_view name;  // "q4_k"
    uint32_t gguf_id;
    uint32_t block_elems;
    uint32_t block_bytes;
};

inline constexpr auto kFormats = std::to_array<FormatInfo>({
#define ATLAS_FORMAT(name, gguf_id, block_elems, block_bytes) {#name, gguf_id, block_elems, block_bytes},
#include "quant/formats.def"
#undef ATLAS_FORMAT
});

constexpr const FormatInfo& info(Format format) { return kFormats[static_cast<size_t>(format)]; }

/// Bytes of `elems` consecutive elements. Requires elems to be a multiple of the block.
constexpr uint64_t bytes_of(Format format, uint64_t elems) {
    return elems / info(format).block_elems * info(format).block_bytes;
}

constexpr std::optional<Format> format_from_gguf(uint32_t gguf_id) {
    for (size_t i = 0; i < kFormats.size(); ++i) {
        if (kFormats[i].gguf_id == gguf_id) return static_cast<Format>(i);
    }
    return std::nullopt;
}

/// Finds a format by its name in formats.def ("q4_k"), or nothing.
constexpr std::optional<Format> format_from_name(std::string_view name) {
    for (size_t i = 0; i < kFormats.size(); ++i) {
        if (kFormats[i].name == name) return static_cast<Format>(i);
    }
    return std::nullopt;
}

}  // namespace atlas
