#include "runtime/model/limits.h"

#include <algorithm>
#include <string>
#include <vector>

namespace atlas {

namespace {

// One number, or the largest of one per layer.
Result<int64_t> largest_of(const gguf::File& file, const std::string& key) {
    ATLAS_TRY(const std::vector<int64_t> values, file.integers(key));
    if (values.empty()) return fail(ErrorCode::corrupt, "{}: expected a number, found an empty array", key);
    return *std::max_element(values.begin(), values.end());
}

}  // namespace

Result<HeadCounts> check_head_counts(std::string_view where, int64_t n_head, int64_t n_head_kv) {
    if (n_head < 1 || n_head > kMaxHeads)
        return fail(ErrorCode::corrupt, "{}head_count: expected 1 .. {}, found {}", where, kMaxHeads, n_head);
    if (n_head_kv < 1 || n_head_kv > kMaxHeads) {
        return fail(ErrorCode::corrupt, "{}head_count_kv: expected 1 .. {}, found {}", where, kMaxHeads, n_head_kv);
    }
    if (n_head % n_head_kv != 0) {
        return fail(ErrorCode::corrupt, "{0}head_count_kv: expected a divisor of {1} ({0}head_count), found {2}", where,
                    n_head, n_head_kv);
    }
    return HeadCounts{static_cast<uint32_t>(n_head), static_cast<uint32_t>(n_head_kv)};
}

Result<HeadCounts> read_head_counts(const gguf::File& file, std::string_view architecture) {
    const std::string where = fmt::format("{}.attention.", architecture), kv_key = where + "head_count_kv";
    ATLAS_TRY(const int64_t n_head, largest_of(file, where + "head_count"));
    int64_t n_head_kv = n_head;
    if (file.find(kv_key) != nullptr) {
        ATLAS_TRY(n_head_kv, largest_of(file, kv_key));
    }
    return check_head_counts(where, n_head, n_head_kv);
}

}  // namespace atlas
