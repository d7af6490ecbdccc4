#include "quant/convert.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "quant/codec.h"
#include "runtime/base/check.h"
#include "runtime/base/threads.h"

namespace atlas {
namespace {

struct RowSizes {
    uint64_t rows;
    uint64_t src_bytes;  // per row
    uint64_t out_bytes;
    uint64_t rows_per_matrix;
};

RowSizes sizes_of(const ConvertJob& job) {
    ATLAS_CHECK(job.row_elems > 0 && job.row_elems % info(job.from).block_elems == 0 &&
                    job.row_elems % info(job.to).block_elems == 0,
                "rows of {} from {} to {}", job.row_elems, info(job.from).name, info(job.to).name);
    RowSizes sizes{0, bytes_of(job.from, job.row_elems), bytes_of(job.to, job.row_elems), 0};
    sizes.rows = job.src.size() / sizes.src_bytes;
    ATLAS_CHECK_EQ(sizes.rows * sizes.src_bytes, job.src.size());
    ATLAS_CHECK_EQ(sizes.rows * sizes.out_bytes, job.out.size());
    const uint64_t matrices = job.importance.empty() ? 1 : job.importance.size() / job.row_elems;
    ATLAS_CHECK(matrices > 0 && sizes.rows % matrices == 0 &&
                    (job.importance.empty() || job.importance.size() == matrices * job.row_elems),
                "{} weights for {} rows of {}", job.importance.size(), sizes.rows, job.row_elems);
    sizes.rows_per_matrix = std::max<uint64_t>(sizes.rows / matrices, 1);
    return sizes;
}

uint64_t convert_range(const ConvertJob& job, const RowSizes& sizes, uint64_t first_row, uint64_t end_row) {
    std::vector<float> values(job.row_elems);
    uint64_t bad_rows = 0;
    for (uint64_t row = first_row; row < end_row; ++row) {
        const auto src = job.src.subspan(row * sizes.src_bytes, sizes.src_bytes);
        const auto out = job.out.subspan(row * sizes.out_bytes, sizes.out_bytes);
        dequantize_row(job.from, src, values);
        if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); })) ++bad_rows;
        if (job.from == job.to) {
            std::memcpy(out.data(), src.data(), src.size());
            continue;
        }
        const auto importance =
            job.importance.empty() ? job.importance
                                   : job.importance.subspan(row / sizes.rows_per_matrix * job.row_elems, job.row_elems);
        quantize_row(job.to, values, out, importance);
    }
    return bad_rows;
}

}  // namespace

uint64_t convert_rows(const ConvertJob& job) {
    const RowSizes sizes = sizes_of(job);
    constexpr uint64_t kElemsPerPiece = 1 << 16;  // a few milliseconds of work
    const uint64_t rows_per_piece = std::max<uint64_t>(kElemsPerPiece / job.row_elems, 1);
    std::atomic<uint64_t> next_row = 0;
    std::atomic<uint64_t> bad_rows = 0;
    on_threads(job.n_threads, [&] {
        for (uint64_t row; (row = next_row.fetch_add(rows_per_piece)) < sizes.rows;) {
            bad_rows += convert_range(job, sizes, row, std::min(row + rows_per_piece, sizes.rows));
        }
    });
    return bad_rows;
}

}  // namespace atlas
