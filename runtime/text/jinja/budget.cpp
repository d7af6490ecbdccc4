#include "runtime/text/jinja/budget.h"

#include <algorithm>

#include "runtime/text/jinja/error.h"

namespace atlas::jinja {

// Reading the clock costs as much as some tens of steps, so it is read this often.
constexpr uint64_t kStepsPerCheck = 4096;

Budget::Budget(const TemplateLimits& limits)
    : limits_(limits),
      deadline_(std::chrono::steady_clock::now() + limits.time),
      next_check_steps_(std::min(kStepsPerCheck, limits.max_steps)) {}

void Budget::check() {
    if (steps_ >= limits_.max_steps) raise_limit("the template needs more than {} steps", limits_.max_steps);
    if (std::chrono::steady_clock::now() >= deadline_)
        raise_limit("the template runs longer than {} ms", limits_.time.count());
    next_check_steps_ = std::min(steps_ + kStepsPerCheck, limits_.max_steps);
}

void Budget::charge_for_good(size_t bytes) {
    if (bytes > limits_.max_memory_bytes || live_bytes_ > limits_.max_memory_bytes - bytes)
        raise_limit("the values of the template need more than {} bytes of memory", limits_.max_memory_bytes);
    live_bytes_ += bytes;
}

Charge Budget::charge(size_t bytes) {
    charge_for_good(bytes);
    return {this, bytes};
}

void Budget::too_long(size_t bytes) {
    raise_limit("the template makes a text of {} bytes; at most {} are allowed", bytes, limits_.max_output_bytes);
}

void Budget::too_deep() { raise_limit("nested deeper than {} levels", limits_.max_depth); }

}  // namespace atlas::jinja
