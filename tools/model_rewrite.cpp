#include "tools/model_rewrite.h"

#include <algorithm>

#include "quant/convert.h"
#include "runtime/base/in_quotes.h"
#include "runtime/gguf/intact.h"

namespace atlas::tools {

namespace {

constexpr uint64_t kElemsAtOnce = uint64_t{1} << 22;  // a fraction of a second of the slowest formats' fits

}  // namespace

void ModelRewrite::add(gguf::Writer& writer, const RewrittenTensor& tensor) {
    total_bytes_ += tensor.source->bytes;
    writer.add_tensor(tensor.source->name, tensor.source->shape, tensor.to,
                      [this, tensor](std::span<std::byte> out) { return fill(tensor, out); });
}

Result<void> ModelRewrite::fill(const RewrittenTensor& tensor, std::span<std::byte> out) {
    const gguf::TensorInfo& source = *tensor.source;
    const Format from = *source.format;
    const uint64_t columns = source.shape.back(), src_row_bytes = bytes_of(from, columns),
                   out_row_bytes = bytes_of(tensor.to, columns);
    const std::span<const std::byte> src = from_.data(source);
    const uint64_t n_rows = src.size() / src_row_bytes;
    const uint64_t n_matrices = tensor.importance.empty() ? 1 : tensor.importance.size() / columns;
    const uint64_t rows_per_matrix = n_rows / n_matrices, rows_at_once = std::max<uint64_t>(kElemsAtOnce / columns, 1);
    uint64_t bad_rows = 0;
    for (uint64_t row = 0; row < n_rows;) {
        if (stop_.stop_requested()) return fail(ErrorCode::cancelled, "stopped; nothing was written");
        const uint64_t matrix = row / rows_per_matrix;
        // A piece stays within one matrix, whose importance it uses.
        const uint64_t n = std::min(rows_at_once, (matrix + 1) * rows_per_matrix - row);
        bad_rows += convert_rows({.from = from,
                                  .to = tensor.to,
                                  .row_elems = columns,
                                  .src = src.subspan(row * src_row_bytes, n * src_row_bytes),
                                  .out = out.subspan(row * out_row_bytes, n * out_row_bytes),
                                  .importance = tensor.importance.empty()
                                                    ? tensor.importance
                                                    : tensor.importance.subspan(matrix * columns, columns),
                                  .n_threads = n_threads_});
        from_.release(source, row * src_row_bytes, n * src_row_bytes);
        row += n;
        done_bytes_ += n * src_row_bytes;
        progress_(done_bytes_, total_bytes_);
        ATLAS_TRY_VOID(gguf::check_intact(from_, source));
    }
    if (bad_rows == 0) return {};
    return fail(ErrorCode::corrupt,
                "{}: tensor {}: {} of its {} rows hold a NaN or an infinity: the file is damaged; nothing was written",
                printable(from_.path().string(), 400), in_quotes(source.name), bad_rows, n_rows);
}

}  // namespace atlas::tools
