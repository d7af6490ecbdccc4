#pragma once
// Estimated cost of device work, and where a recording is cut into submissions because of it. Pure.

#include <cstdint>

#include "runtime/vk/quirks.h"

namespace atlas::vk {

/// What a dispatch does: floating point (or integer) operations, and bytes read and written.
struct Cost {
    double flops = 0;
    double bytes = 0;
};

/// Upper estimate in ms: the slower of arithmetic and memory at rates that even a poor kernel reaches on this class of
/// device (Quirks::gflops, gbps), plus a fixed 10 us. It decides where work is cut, nothing else; it is not a
/// prediction.
double estimate_ms(const Cost& cost, const Quirks& quirks);

/// The most one dispatch may cost so that it fits a submission of its own: larger operations must be split.
inline double max_dispatch_cost_ms(const Quirks& quirks) { return quirks.submission_limit_ms; }

/// Decides before each dispatch whether it opens a new submission.
class SubmissionCutter {
  public:
    explicit SubmissionCutter(const Quirks& quirks);
    /// True if a new submission starts with this dispatch. The first dispatch never cuts.
    bool next(const Cost& cost);
    double open_ms() const { return open_ms_; }

  private:
    Quirks quirks_;
    double open_ms_ = 0;
    uint32_t open_dispatches_ = 0;
};

}  // namespace atlas::vk
