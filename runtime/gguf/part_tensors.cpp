// The table of tensors, and what it promises about the data section.
#include <algorithm>
#include <numeric>

#include "runtime/base/checked.h"
#include "runtime/base/in_quotes.h"
#include "runtime/gguf/cursor.h"
#include "runtime/gguf/part.h"

namespace atlas::gguf {
namespace {

constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;  // name length, a character, dims, one dim, type, offset

Result<void> read_shape(Cursor& cursor, const std::string& field, TensorInfo& tensor) {
    ATLAS_TRY(const uint32_t n_dims,
              cursor.number<uint32_t>([&] { return fmt::format("dimension count of {}", field); }));
    if (n_dims == 0 || n_dims > kMaxDims) {
        return fail(ErrorCode::corrupt, "dimension count of {} at byte {}: expected 1 to {}, found {}", field,
                    cursor.position() - 4, kMaxDims, n_dims);
    }
    tensor.shape.resize(n_dims);
    uint64_t elems = 1;
    for (uint32_t i = 0; i < n_dims; ++i) {
        ATLAS_TRY(const uint64_t dim,
                  cursor.number<uint64_t>([&] { return fmt::format("dimension {} of {}", i, field); }));
        const auto product = checked_mul(elems, dim);
        if (dim == 0 || !product || *product > INT64_MAX) {
            return fail(
                ErrorCode::corrupt,
                "dimension {} of {} at byte {}: expected 1 or more, and fewer than 2^63 elements in all, found {}", i,
                field, cursor.position() - 8, dim);
        }
        elems = *product;
        tensor.shape[n_dims - 1 - i] = dim;  // the file stores the innermost first
    }
    return {};
}

Result<void> measure(const Cursor& cursor, const std::string& field, TensorInfo& tensor) {
    tensor.format = format_from_gguf(tensor.gguf_type);
    if (!tensor.format) return {};
    const FormatInfo& format = info(*tensor.format);
    const uint64_t row_elems = tensor.shape.back();
    if (row_elems % format.block_elems != 0) {
        return fail(ErrorCode::corrupt,
                    "dimension 0 of {} before byte {}: expected a multiple of {} (the block of {}), found {}", field,
                    cursor.position(), format.block_elems, format.name, row_elems);
    }
    uint64_t elems = 1;
    for (const uint64_t dim : tensor.shape) elems *= dim;  // read_shape() has checked the product
    const auto bytes = checked_mul(elems / format.block_elems, format.block_bytes);
    if (!bytes)
        return fail(ErrorCode::corrupt, "dimensions of {} before byte {}: {} elements of {} are more than 2^64 bytes",
                    field, cursor.position(), elems, format.name);
    tensor.bytes = *bytes;
    return {};
}

Result<TensorInfo> read_tensor(Cursor& cursor, uint64_t index) {
    const uint64_t start = cursor.position();
    ATLAS_TRY(const std::string_view name, cursor.string([&] { return fmt::format("name of tensor {}", index); }));
    if (name.empty())
        return fail(ErrorCode::corrupt, "length of name of tensor {} at byte {}: expected 1 or more, found 0", index,
                    start);
    const std::string field = fmt::format("tensor {}", in_quotes(name));
    ATLAS_TRY_VOID(cursor.charge(field, name.size() + 1 + kMaxDims * sizeof(uint64_t), 1));
    TensorInfo tensor;
    tensor.name = name;
    ATLAS_TRY_VOID(read_shape(cursor, field, tensor));
    ATLAS_TRY(tensor.gguf_type, cursor.number<uint32_t>([&] { return fmt::format("type of {}", field); }));
    ATLAS_TRY_VOID(measure(cursor, field, tensor));
    ATLAS_TRY(tensor.offset_bytes, cursor.number<uint64_t>([&] { return fmt::format("offset of {}", field); }));
    return tensor;
}

Result<void> check_inside(const TensorInfo& tensor, uint64_t alignment, uint64_t section_bytes) {
    if (tensor.offset_bytes % alignment != 0) {
        return fail(ErrorCode::corrupt, "offset of tensor {}: expected a multiple of the alignment {}, found {}",
                    in_quotes(tensor.name), alignment, tensor.offset_bytes);
    }
    if (tensor.offset_bytes > section_bytes || tensor.bytes > section_bytes - tensor.offset_bytes) {
        return fail(
            ErrorCode::corrupt,
            "offset of tensor {}: expected {} bytes inside the data section of {} bytes, found offset {} (is the "
            "download complete?)",
            in_quotes(tensor.name), tensor.bytes, section_bytes, tensor.offset_bytes);
    }
    return {};
}

}  // namespace

Result<void> read_tensor_infos(Cursor& cursor, uint64_t n, PartTables& part) {
    if (n > cursor.remaining() / kMinTensorBytes) {
        return fail(ErrorCode::corrupt,
                    "tensor count at byte 8: expected at most {} (the bytes left after the keys), found {}",
                    cursor.remaining() / kMinTensorBytes, n);
    }
    // Two indices: by name, which is kept, and by offset, which is only used here.
    ATLAS_TRY_VOID(cursor.charge("tensor count", n, sizeof(TensorInfo) + 2 * sizeof(uint32_t)));
    part.tensors.reserve(n);
    for (uint64_t i = 0; i < n; ++i) {
        ATLAS_TRY(TensorInfo tensor, read_tensor(cursor, i));
        part.tensors.push_back(std::move(tensor));
    }
    auto& order = part.tensors_by_name;
    order.resize(n);
    std::iota(order.begin(), order.end(), 0u);
    const auto& tensors = part.tensors;
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return tensors[a].name < tensors[b].name; });
    for (size_t i = 1; i < order.size(); ++i) {
        if (tensors[order[i - 1]].name == tensors[order[i]].name) {
            return fail(ErrorCode::corrupt, "name of tensor {}: expected once, found twice (tensors {} and {})",
                        in_quotes(tensors[order[i]].name), std::min(order[i - 1], order[i]),
                        std::max(order[i - 1], order[i]));
        }
    }
    return {};
}

Result<void> check_tensor_data(const Cursor& cursor, const PartTables& part) {
    const auto& tensors = part.tensors;
    // A file that holds only a vocabulary may end where the padding before its empty data section would begin.
    const uint64_t section_bytes = cursor.file_bytes() > part.data_start ? cursor.file_bytes() - part.data_start : 0;
    std::vector<uint32_t> order;
    order.reserve(tensors.size());
    for (uint32_t i = 0; i < tensors.size(); ++i) {
        ATLAS_TRY_VOID(check_inside(tensors[i], part.alignment, section_bytes));
        if (tensors[i].format) order.push_back(i);
    }
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return tensors[a].offset_bytes < tensors[b].offset_bytes; });
    for (size_t i = 1; i < order.size(); ++i) {
        const TensorInfo& before = tensors[order[i - 1]];
        const TensorInfo& after = tensors[order[i]];
        if (before.offset_bytes + before.bytes > after.offset_bytes) {
            return fail(ErrorCode::corrupt, "offset of tensor {}: expected {} or more (the end of tensor {}), found {}",
                        in_quotes(after.name), before.offset_bytes + before.bytes, in_quotes(before.name),
                        after.offset_bytes);
        }
    }
    return {};
}

}  // namespace atlas::gguf
