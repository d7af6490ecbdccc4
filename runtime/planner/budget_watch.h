#pragma once
// Looks at the memory budget while a model runs: other programs come and go, and what no longer fits is moved to system memory by the
// driver without a word, at a fraction of the speed.

#include <functional>
#include <string>

#include "runtime/ops/backend.h"

namespace atlas {

class BudgetWatch {
  public:
    /// A look every so many ticks. It asks the driver once, 1 us on lavapipe (Mesa 25.0.7, 2026-11-21; see tests/truth): per token nothing.
    static constexpr int kTicksPerLook = 32;

    /// `tell` gets one line for people, once. The backend must outlive the watch.
    BudgetWatch(const Backend& backend, std::function<void(const std::string&)> tell);

    /// Call once per token or piece of work, on any one thread.
    void tick() {
        if (++ticks_ % kTicksPerLook == 0) look();
    }
    /// Compares what is used with the budget as it is now. Tells if the budget has shrunk below it since the watch began.
    void look();
    bool told() const { return told_; }

  private:
    const Backend& backend_;
    std::function<void(const std::string&)> tell_;
    MemoryBudget first_;
    int ticks_ = 0;
    bool told_ = false;
};

}  // namespace atlas
