#include "runtime/vk/cost.h"

#include <algorithm>

#include "runtime/base/check.h"

namespace atlas::vk {

double estimate_ms(const Cost& cost, const Quirks& quirks) {
    constexpr double kLaunchMs = 0.01;
    ATLAS_CHECK(quirks.gflops > 0 && quirks.gbps > 0, "quirks without rates");
    return kLaunchMs + std::max(cost.flops / (quirks.gflops * 1e6), cost.bytes / (quirks.gbps * 1e6));
}

SubmissionCutter::SubmissionCutter(const Quirks& quirks) : quirks_(quirks) {}

bool SubmissionCutter::next(const Cost& cost) {
    const double ms = estimate_ms(cost, quirks_);
    const bool cut = open_dispatches_ > 0 &&
                     (open_ms_ + ms > quirks_.submission_limit_ms || open_dispatches_ >= quirks_.max_dispatches);
    if (cut) {
        open_ms_ = 0;
        open_dispatches_ = 0;
    }
    open_ms_ += ms;
    ++open_dispatches_;
    return cut;
}

}  // namespace atlas::vk
