#include "runtime/planner/budget_watch.h"

#include <fmt/format.h>

#include "runtime/base/units.h"

namespace atlas {

BudgetWatch::BudgetWatch(const Backend& backend, std::function<void(const std::string&)> tell, GiveBack shrink)
    : backend_(backend), tell_(std::move(tell)), shrink_(std::move(shrink)), first_(backend.budget()) {}

void BudgetWatch::look() {
    const MemoryBudget now = backend_.budget();
    // If the budget is unchanged, a model larger than the budget was loaded that way on request.
    if (now.budget_bytes == 0 || now.used_bytes <= now.budget_bytes || now.budget_bytes >= first_.budget_bytes) return;
    const uint64_t short_bytes = now.used_bytes - now.budget_bytes;
    const GivenBack given = shrink_ ? shrink_(short_bytes) : GivenBack{};
    const std::string others = fmt::format("other programs took {} of the device's memory",
                                           bytes_text(first_.budget_bytes - now.budget_bytes));
    const std::string gave = given.bytes > 0 ? fmt::format("the cache returned {} of empty pages to the device: {}",
                                                           bytes_text(given.bytes), given.effect)
                                             : "";
    if (given.bytes >= short_bytes) {
        tell_(fmt::format("{}; {}", others, gave));
        return;
    }
    if (told_) {
        if (given.bytes > 0)
            tell_(fmt::format("{}; {}, and that is still {} too little", others, gave,
                              bytes_text(short_bytes - given.bytes)));
        return;
    }
    told_ = true;
    tell_(
        fmt::format("{}{}{}: {} are in use here and {} are left for it, so the driver may move {} to system memory, "
                    "which is many times slower. "
                    "Close other programs, or start again with a smaller --ctx, --kv q8_0 or a smaller model",
                    others, gave.empty() ? "" : "; ", gave, bytes_text(now.used_bytes - given.bytes),
                    bytes_text(now.budget_bytes), bytes_text(short_bytes - given.bytes)));
}

}  // namespace atlas
