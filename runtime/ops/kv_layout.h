#pragma once
// What the rest of the program needs to know about the memory layout of a KV cache: its formats and the bytes of a row.

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
    // Head vectors are multiplied by a Hadamard matrix before they are written (Ops::hadamard): the rotation spreads
    // outliers over all elements.
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

/// Size of the Hadamard matrices that rotate a head: the largest power of two that divides head_dim, at most 256.
constexpr uint32_t hadamard_block(uint32_t head_dim) {
    uint32_t block = 1;
    while (block < 256 && head_dim % (2 * block) == 0) block *= 2;
    return block;
}

/// The formats, with rotation where it was measured to pay. Mean divergence from f16, SmolLM2-135M Q4_1, 2,048 tokens,
/// keys or values alone, unrotated and rotated: keys of q4_0 0.117 and 0.034, q4_1 0.057 and 0.024, q5_0 0.025 and
/// 0.007, q5_1 0.0125 and 0.0061, q8_0 0.00032 and 0.00012; values of q4_0 0.0071 and 0.0033, q4_1 0.0033 and 0.0026,
/// q5_0 0.0013 and 0.0008, q5_1 0.00069 and 0.00062, q8_0 0.00002 and 0.00001 (lavapipe, 2026-11-21,
/// bench/results/lavapipe/kv_quality.md). Keys are rotated by the kernel that writes them; values have to be rotated
/// back after attention, which a gain of a tenth is not worth.
constexpr KvFormats with_default_rotation(KvFormats formats) {
    const auto is_quantized = [](Format format) {
        return format != Format::f32 && format != Format::f16 && format != Format::bf16;
    };
    formats.rotate_k = is_quantized(formats.k);
    formats.rotate_v = formats.v == Format::q4_0 || formats.v == Format::q4_1 || formats.v == Format::q5_0;
    return formats;
}

/// A row of the cache begins at a multiple of this, so that kernels can read 16 bytes at a time.
inline constexpr uint64_t kKvAlignmentBytes = 16;

/// Bytes from one cache row of `width` elements to the next. The backend decides where codes and scales lie in it.
constexpr uint64_t kv_row_bytes(Format format, uint32_t width) {
    return (bytes_of(format, width) + kKvAlignmentBytes - 1) / kKvAlignmentBytes * kKvAlignmentBytes;
}

}  // namespace atlas
