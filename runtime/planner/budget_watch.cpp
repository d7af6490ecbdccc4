#include "runtime/planner/budget_watch.h"

#include <fmt/format.h>

#include "runtime/base/units.h"

namespace atlas {

BudgetWatch::BudgetWatch(const Backend& backend, std::function<void(const std::string&)> tell)
    : backend_(backend), tell_(std::move(tell)), first_(backend.budget()) {}

void BudgetWatch::look() {
    if (told_) return;
    const MemoryBudget now = backend_.budget();
    // Where the budget is as it was, a model that is larger than it was asked for so.
    if (now.budget_bytes == 0 || now.used_bytes <= now.budget_bytes || now.budget_bytes >= first_.budget_bytes) return;
    told_ = true;
    tell_(fmt::format("other programs took {} of the device's memory: {} are in use here and {} are left for it, so the driver may move {} to "
                      "system memory, which is many times slower. Close other programs, or start again with a smaller --ctx, --kv q8_0 or a "
                      "smaller model",
                      bytes_text(first_.budget_bytes - now.budget_bytes), bytes_text(now.used_bytes), bytes_text(now.budget_bytes),
                      bytes_text(now.used_bytes - now.budget_bytes)));
}

}  // namespace atlas
