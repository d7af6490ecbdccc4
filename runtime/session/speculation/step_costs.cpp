#include "runtime/session/speculation/step_costs.h"

#include <algorithm>

#include "runtime/base/check.h"

namespace atlas {

namespace {

template <size_t N>
double lower_median(std::array<double, N> values, size_t n) {
    if (n == 0) return 0;
    const auto middle = values.begin() + ptrdiff_t((n - 1) / 2);
    std::nth_element(values.begin(), middle, values.begin() + ptrdiff_t(n));
    return *middle;
}

}  // namespace

void RecentMedian::add(double value) {
    values_[next_] = value;
    next_ = (next_ + 1) % kKept;
    n_ = std::min(n_ + 1, kKept);
}

double RecentMedian::median() const { return lower_median(values_, n_); }

StepCosts::Pace StepCosts::pace_of(size_t n_steps, std::optional<size_t> without) const {
    std::array<double, kKept> paces{};
    size_t n = 0;
    for (size_t back = 1; back <= std::min(n_steps, n_steps_); ++back) {
        const Recent& recent = recent_[(n_steps_ - back) % kKept];
        if (recent.kind != without && recent.pace_ms > 0) paces[n++] = recent.pace_ms;
    }
    return {n, lower_median(paces, n)};
}

void StepCosts::add(size_t kind, double ms) {
    ATLAS_CHECK(kind < kinds_.size(), "kind {} of {}", kind, kinds_.size());
    if (!reference_) reference_ = kind;
    Kind& mine = kinds_[kind];
    ++mine.n_runs;
    if (kind != reference_) {
        const Pace pace = neighbours(kind);
        const bool hardly_ever = mine.n_runs >= kLongRun && mine.pairs.size() < kEnough;
        if (pace.n >= 2 || (pace.n == 1 && (mine.pairs.empty() || hardly_ever))) mine.pairs.add(ms / pace.median_ms);
    }
    const bool long_run = measured(kind) && mine.n_runs >= kLongRun;
    recent_[n_steps_++ % kKept] = {kind, known(kind) || long_run ? ms / cost(kind) : 0};
}

bool StepCosts::known(size_t kind) const {
    return kind == reference_ ? kinds_[kind].n_runs > 0 : kinds_[kind].pairs.size() >= kEnough;
}

double StepCosts::cost(size_t kind) const {
    ATLAS_CHECK(kind < kinds_.size(), "kind {} of {}", kind, kinds_.size());
    if (kind == reference_) return kinds_[kind].n_runs > 0 ? 1 : 0;
    return kinds_[kind].pairs.median();
}

double StepCosts::pace_ms() const { return pace_of(kKept, std::nullopt).median_ms; }

}  // namespace atlas
