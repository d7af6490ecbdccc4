#include "runtime/kernels/view.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "runtime/base/check.h"

namespace atlas {

AlignedView align_view(uint64_t offset_bytes, uint64_t bytes, uint32_t unit_bytes, uint32_t alignment_bytes) {
    uint64_t first = offset_bytes / alignment_bytes * alignment_bytes;
    while ((offset_bytes - first) % unit_bytes != 0) {
        ATLAS_CHECK(first >= alignment_bytes,
                    "a view at byte {} is no whole number of {}-byte units from any multiple of {}", offset_bytes,
                    unit_bytes, alignment_bytes);
        first -= alignment_bytes;
    }
    const uint64_t rest = offset_bytes - first;
    return {first, rest + bytes, static_cast<uint32_t>(rest / unit_bytes)};
}

uint32_t rows_that_fit(uint64_t row_bytes, uint64_t stride_bytes, uint32_t unit_bytes, uint32_t alignment_bytes,
                       uint64_t max_binding_bytes) {
    const uint64_t rest =
        std::lcm(uint64_t{unit_bytes}, uint64_t{alignment_bytes}) - std::gcd(unit_bytes, alignment_bytes);
    if (rest + row_bytes > max_binding_bytes) return 0;
    if (stride_bytes == 0) return std::numeric_limits<uint32_t>::max();
    const uint64_t more = (max_binding_bytes - rest - row_bytes) / stride_bytes;
    return static_cast<uint32_t>(std::min<uint64_t>(more + 1, std::numeric_limits<uint32_t>::max()));
}

}  // namespace atlas
