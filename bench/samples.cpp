#include "bench/samples.h"

#include <algorithm>

#include "runtime/base/check.h"

namespace atlas::bench {

double median(std::vector<double> values) {
    ATLAS_CHECK(!values.empty(), "the median of nothing");
    std::sort(values.begin(), values.end());
    const size_t middle = values.size() / 2;
    return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double spread(const std::vector<double>& values) {
    if (values.size() < 2) return 0;
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    return (*most - *least) / median(values);
}

}  // namespace atlas::bench
