#pragma once
// Re-encodes a whole tensor from one storage format to another.

#include <cstdint>
#include <span>

#include "quant/format.h"

namespace atlas {

/// Rows of `row_elems` elements, packed. The rows may be several matrices on top of each other (experts).
struct ConvertJob {
    Format from = Format::f32;
    Format to = Format::f32;
    uint64_t row_elems = 0;             // a multiple of both formats' blocks
    std::span<const std::byte> src;     // [rows, row_elems] from
    std::span<std::byte> out;           // [rows, row_elems] to
    std::span<const float> importance;  // [matrices, row_elems] weights of squared error, or empty
    uint32_t n_threads = 1;
};

/// Converts on n_threads threads; the bytes do not depend on their number. Between equal formats it copies.
/// Returns how many rows hold a NaN or an infinity, copied ones too: a format of blocks cannot keep one, and no model
/// has any that is not damaged, so the caller has to refuse them.
uint64_t convert_rows(const ConvertJob& job);

}  // namespace atlas
