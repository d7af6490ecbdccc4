#pragma once
// What the rest of the program must know of how a KV cache lies in memory: which formats there are and how many bytes a row takes.

#include <array>
#include <string>
#include <string_view>

#include "quant/format.h"
#include "runtime/base/error.h"

namespace atlas {

/// The formats of the keys and of the values.
struct KvFormats {
    Format k = Format::f16;
    Format v = Format::f16;
    // Head vectors are turned by a Hadamard matrix before they are written (Ops::hadamard): it spreads what is large in few elements.
    bool rotate_k = false;
    bool rotate_v = false;
    constexpr KvFormats() = default;
    constexpr KvFormats(Format both) : k(both), v(both) {}  // NOLINT: one format is meant for both
    constexpr KvFormats(Format keys, Format values) : k(keys), v(values) {}
    bool operator==(const KvFormats&) const = default;
};

/// What a cache may be stored as, most exact first.
inline constexpr auto kKvFormats = std::to_array<Format>(
    {Format::f32, Format::f16, Format::bf16, Format::q8_0, Format::q5_1, Format::q5_0, Format::q4_1, Format::q4_0});

constexpr bool is_kv_format(Format format) {
    for (const Format known : kKvFormats) {
        if (known == format) return true;
    }
    return false;
}

/// "f16" or, where they differ, "q8_0:q4_0".
std::string name_of(const KvFormats& kv);
/// "f16", "q8_0", "q8_0:q4_0" (keys:values). Fails: invalid_argument (names the formats).
Result<KvFormats> parse_kv_formats(std::string_view text);

/// Columns of a head that one Hadamard matrix turns: the largest power of two that divides it, at most 256.
constexpr uint32_t hadamard_block(uint32_t head_dim) {
    uint32_t block = 1;
    while (block < 256 && head_dim % (2 * block) == 0) block *= 2;
    return block;
}

/// The formats, with rotation where it was measured to help. SmolLM2-135M Q4_1, 2,048 tokens, keys and values of one format, perplexity against
/// f16's 5.111: q4_0 5.874 as they are, 5.358 with keys turned, 5.298 with both; q5_0 5.370 and, with both, 5.182. q8_0's divergence is 0.00030
/// as it is, 0.00012 with keys turned and 0.00011 with both (lavapipe, 2026-11-21, bench/results/lavapipe/kv_quality.md). Keys are turned by the
/// kernel that writes them; values have to be turned back behind attention. The other formats were not compared.
constexpr KvFormats with_default_rotation(KvFormats formats) {
    const auto gains = [](Format format) { return format == Format::q4_0 || format == Format::q5_0; };
    formats.rotate_k = gains(formats.k) || formats.k == Format::q8_0;
    formats.rotate_v = gains(formats.v);
    return formats;
}

/// A row of the cache begins at a multiple of this, so that kernels can read 16 bytes at a time.
inline constexpr uint64_t kKvAlignmentBytes = 16;

/// Bytes from one cache row of `width` elements to the next. Where in it codes and scales lie is the backend's own.
constexpr uint64_t kv_row_bytes(Format format, uint32_t width) {
    return (bytes_of(format, width) + kKvAlignmentBytes - 1) / kKvAlignmentBytes * kKvAlignmentBytes;
}

}  // namespace atlas
