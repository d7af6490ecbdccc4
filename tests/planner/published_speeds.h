#pragma once
// How far predictions are from figures that others published.

#include <algorithm>
#include <cmath>
#include <ostream>
#include <vector>

#include "runtime/planner/speed.h"

namespace atlas {

struct Judged {
    double measured = 0;
    Range predicted;
};

struct Errors {
    double median = 0, p90 = 0;  // of |predicted / measured - 1|
    double inside = 0;           // share inside the band
    size_t n = 0;
};

inline Errors errors_of(const std::vector<Judged>& rows) {
    std::vector<double> errors;
    double inside = 0;
    for (const Judged& row : rows) {
        errors.push_back(std::abs(row.predicted.likely / row.measured - 1));
        inside += row.measured >= row.predicted.low && row.measured <= row.predicted.high ? 1 : 0;
    }
    if (rows.empty()) return {};
    std::sort(errors.begin(), errors.end());
    return {errors[errors.size() / 2], errors[errors.size() * 9 / 10], inside / double(errors.size()), errors.size()};
}

inline std::ostream& operator<<(std::ostream& out, const Errors& e) {
    return out << e.n << " rows, error " << 100 * e.median << " % at the median, " << 100 * e.p90
               << " % at the 90th percentile, " << 100 * e.inside << " % inside the band";
}

}  // namespace atlas
