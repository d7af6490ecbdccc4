#pragma once
// What an operation reads and writes: views of storage that another object owns.

#include <algorithm>
#include <cstdint>
#include <string>

#include "quant/planar.h"
#include "runtime/base/check.h"

namespace atlas {

/// A piece of memory of one backend (a range of a device slab, host memory, or nothing but a size). Owned by the code
/// that allocated it.
class Storage {
  public:
    Storage(std::string name, uint64_t bytes) : name_(std::move(name)), bytes_(bytes) {}
    virtual ~Storage() = default;
    Storage(const Storage&) = delete;
    Storage& operator=(const Storage&) = delete;

    const std::string& name() const { return name_; }
    uint64_t bytes() const { return bytes_; }

  private:
    std::string name_;
    uint64_t bytes_;
};

/// A view of a matrix: [rows, cols], rows outermost. A vector is one row. Copies are cheap and refer to the same
/// storage. Activations are f32; weights have any format and keep each row whole (cols is a multiple of the format's
/// block). In the planar layout (quant/planar.h) all of these count as if the blocks lay one after another: a block has
/// moved only inside its group.
struct Tensor {
    Storage* storage = nullptr;
    Format format = Format::f32;
    uint64_t offset_bytes = 0;
    uint32_t rows = 0;
    uint32_t cols = 0;
    uint32_t row_stride_elems = 0;  // from one row's first element to the next row's; >= cols
    Layout layout = Layout::blocks;

    uint64_t row_stride_bytes() const { return bytes_of(format, row_stride_elems); }
    uint64_t offset_elems() const { return offset_bytes / info(format).block_bytes * info(format).block_elems; }
    bool contiguous() const { return rows <= 1 || row_stride_elems == cols; }
    explicit operator bool() const { return storage != nullptr; }

    /// The view of `count` rows from `first`.
    Tensor row_range(uint32_t first, uint32_t count) const {
        ATLAS_CHECK(uint64_t{first} + count <= rows, "rows {}+{} of {}", first, count, rows);
        Tensor view = *this;
        view.offset_bytes += first * row_stride_bytes();
        view.rows = count;
        return view;
    }

    /// The view of `count` columns from `first`; both whole blocks.
    Tensor col_range(uint32_t first, uint32_t count) const {
        const uint32_t block = info(format).block_elems;
        ATLAS_CHECK(uint64_t{first} + count <= cols, "columns {}+{} of {}", first, count, cols);
        ATLAS_CHECK(first % block == 0 && count % block == 0, "columns {}+{} cut a block of {}", first, count, block);
        Tensor view = *this;
        view.offset_bytes += bytes_of(format, first);
        view.cols = count;
        return view;
    }
};

/// The rows of both as one matrix, if `next` lies directly after `first` with the same format, layout and stride; else
/// an empty view.
inline Tensor joined_rows(const Tensor& first, const Tensor& next) {
    const bool behind = first.storage == next.storage && first.storage != nullptr && first.format == next.format &&
                        first.layout == next.layout && first.cols == next.cols &&
                        first.row_stride_elems == next.row_stride_elems &&
                        next.offset_bytes == first.offset_bytes + first.rows * first.row_stride_bytes();
    if (!behind) return {};
    Tensor both = first;
    both.rows += next.rows;
    return both;
}

/// The columns of both as one matrix, if each row of `next` begins where that of `first` ends; else an empty view.
inline Tensor joined_cols(const Tensor& first, const Tensor& next) {
    const bool beside = first.storage == next.storage && first.storage != nullptr && first.format == next.format &&
                        first.layout == Layout::blocks && next.layout == Layout::blocks && first.rows == next.rows &&
                        (first.rows == 1 || first.row_stride_elems == next.row_stride_elems) &&
                        first.cols % info(first.format).block_elems == 0 &&
                        next.offset_bytes == first.offset_bytes + bytes_of(first.format, first.cols);
    if (!beside) return {};
    Tensor both = first;
    both.cols += next.cols;
    both.row_stride_elems = std::max(both.row_stride_elems, both.cols);
    return both;
}

/// A dense matrix at the start (or at offset_bytes) of a storage.
inline Tensor dense(Storage& storage, Format format, uint32_t rows, uint32_t cols, uint64_t offset_bytes = 0,
                    Layout layout = Layout::blocks) {
    ATLAS_CHECK(cols % info(format).block_elems == 0, "{} columns are not whole blocks of {}", cols, info(format).name);
    ATLAS_CHECK(offset_bytes + rows * bytes_of(format, cols) <= storage.bytes(),
                "{}: [{}, {}] {} at {} does not fit in {} bytes", storage.name(), rows, cols, info(format).name,
                offset_bytes, storage.bytes());
    return {&storage, format, offset_bytes, rows, cols, cols, layout};
}

/// A view of consecutive 32-bit unsigned integers: token ids, positions, page numbers. They live in the step buffer.
struct U32View {
    Storage* storage = nullptr;
    uint64_t offset_bytes = 0;  // a multiple of 4
    uint32_t count = 0;
};

}  // namespace atlas
