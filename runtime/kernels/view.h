#pragma once
// Where a view starts in a binding. Descriptors start at a device's alignment, views start anywhere; the rest goes in
// push constants.

#include <cstdint>

namespace atlas {

struct AlignedView {
    uint64_t first_byte = 0;  // of the binding, in the storage; a multiple of the alignment
    uint64_t bytes = 0;       // of the binding
    uint32_t at_units = 0;    // where the view starts in it
};

/// The largest aligned start from which the view's offset is a whole number of units (blocks or elements). Units need
/// not divide the alignment: a q6_k block has 210 bytes. Requires such a start to exist (it does if the tensor began at
/// an aligned offset).
AlignedView align_view(uint64_t offset_bytes, uint64_t bytes, uint32_t unit_bytes, uint32_t alignment_bytes);

/// How many rows fit in one binding of max_binding_bytes, wherever the first of them starts; 0 if not even one does.
/// row_bytes: from a row's first byte to its last; stride_bytes: from row to row.
uint32_t rows_that_fit(uint64_t row_bytes, uint64_t stride_bytes, uint32_t unit_bytes, uint32_t alignment_bytes,
                       uint64_t max_binding_bytes);

}  // namespace atlas
