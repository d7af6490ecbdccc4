#pragma once
// Watches the memory budget while a model runs. When other programs take memory, the driver silently moves what no
// longer fits to system memory, at a fraction of the speed.

#include <functional>
#include <string>

#include "runtime/ops/backend.h"

namespace atlas {

class BudgetWatch {
  public:
    /// Ticks between two looks. A look asks the driver once: 14 us on a busy lavapipe (Mesa 25.0.7, 2026-11-21;
    /// tests/truth prints it), under half a microsecond per token.
    static constexpr int kTicksPerLook = 32;

    /// How many bytes were returned to the device, and the effect, for people: "the context holds 8192 tokens now, no
    /// longer 32768".
    struct GivenBack {
        uint64_t bytes = 0;
        std::string effect;
    };
    /// Returns `bytes` bytes to the device, or as many as can be freed. Called in look(), on its thread.
    using GiveBack = std::function<GivenBack(uint64_t bytes)>;

    /// `tell` gets lines for people: each time memory was returned; once, when memory is short and nothing is left to
    /// free. The backend must outlive the watch.
    BudgetWatch(const Backend& backend, std::function<void(const std::string&)> tell, GiveBack shrink = {});

    /// Call once per token or piece of work, on any one thread.
    void tick() {
        if (++ticks_ % kTicksPerLook == 0) look();
    }
    /// Compares the memory in use with the present budget. If the budget has fallen below it since the watch began,
    /// calls `shrink` and reports what that freed.
    void look();
    /// Whether it was reported that memory is short and nothing is left to free.
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
