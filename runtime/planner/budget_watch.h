#pragma once
// Looks at the memory budget while a model runs: other programs come and go, and what no longer fits is moved to system memory by the
// driver without a word, at a fraction of the speed.

#include <functional>
#include <string>

#include "runtime/ops/backend.h"

namespace atlas {

class BudgetWatch {
  public:
    /// A look every so many ticks. It asks the driver once: 14 us on a busy lavapipe (Mesa 25.0.7, 2026-11-21; tests/truth prints
    /// it), under half a microsecond per token.
    static constexpr int kTicksPerLook = 32;

    /// What was given back to the device, and what that means, for people: "the context holds 8192 tokens now, no longer 32768".
    struct GivenBack {
        uint64_t bytes = 0;
        std::string effect;
    };
    /// Gives so many bytes back, or as many as can go. Called in look(), on its thread.
    using GiveBack = std::function<GivenBack(uint64_t bytes)>;

    /// `tell` gets lines for people: whenever something was given back; once that memory is short and nothing is left to give. The backend
    /// must outlive the watch.
    BudgetWatch(const Backend& backend, std::function<void(const std::string&)> tell, GiveBack shrink = {});

    /// Call once per token or piece of work, on any one thread.
    void tick() {
        if (++ticks_ % kTicksPerLook == 0) look();
    }
    /// Compares what is used with the budget as it is now. If the budget has shrunk below it since the watch began, what can go is given
    /// back, and that is told.
    void look();
    /// That memory is short in spite of all.
    bool told() const { return told_; }

  private:
    const Backend& backend_;
    std::function<void(const std::string&)> tell_;
    GiveBack shrink_;
    MemoryBudget first_;
    int ticks_ = 0;
    bool told_ = false;
};

}  // namespace atlas
