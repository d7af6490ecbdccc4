#pragma once
// What one parse or one render may still spend: steps, time, nesting, bytes.

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "runtime/text/chat_template.h"

namespace atlas::jinja {

class Budget;

/// Bytes that a live value holds; releases them when it is destroyed.
class Charge {
  public:
    Charge() = default;
    Charge(Budget* budget, size_t bytes) : budget_(budget), bytes_(bytes) {}
    Charge(Charge&& other) noexcept : budget_(other.budget_), bytes_(other.bytes_) { other.budget_ = nullptr; }
    Charge(const Charge&) = delete;
    Charge& operator=(const Charge&) = delete;
    Charge& operator=(Charge&&) = delete;
    inline ~Charge();

  private:
    Budget* budget_ = nullptr;
    size_t bytes_ = 0;
};

/// Counts down the limits. Every function throws a TemplateError with code `limit` when there is nothing left.
/// Outlives every value that was charged to it. One thread.
class Budget {
  public:
    explicit Budget(const TemplateLimits& limits);

    /// One evaluated node, one copied element, or 32 bytes of text.
    void step(uint64_t count = 1) {
        steps_ += count;
        if (steps_ >= next_check_steps_) check();
    }
    void bytes_touched(size_t bytes) { step(1 + bytes / 32); }

    /// A string of this many bytes is about to be made.
    void string_size(size_t bytes) {
        if (bytes > limits_.max_output_bytes) too_long(bytes);
        bytes_touched(bytes);
    }

    /// Live memory of values. The charge ends with the returned object.
    Charge charge(size_t bytes);
    /// Memory that stays until the end of the rendering.
    void charge_for_good(size_t bytes);
    void release(size_t bytes) { live_bytes_ -= bytes; }

    void enter() {
        if (++depth_ > limits_.max_depth) too_deep();
    }
    void leave() { --depth_; }

    const TemplateLimits& limits() const { return limits_; }

  private:
    void check();
    [[noreturn]] void too_long(size_t bytes);
    [[noreturn]] void too_deep();

    TemplateLimits limits_;
    std::chrono::steady_clock::time_point deadline_;
    uint64_t steps_ = 0;
    uint64_t next_check_steps_ = 0;
    size_t live_bytes_ = 0;
    int depth_ = 0;
};

inline Charge::~Charge() {
    if (budget_ != nullptr) budget_->release(bytes_);
}

/// One level of nesting for the life of this object.
class Nesting {
  public:
    explicit Nesting(Budget& budget) : budget_(budget) {
        // On failure the destructor does not run, so the level is released here.
        try {
            budget_.enter();
        } catch (...) {
            budget_.leave();
            throw;
        }
    }
    ~Nesting() { budget_.leave(); }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

  private:
    Budget& budget_;
};

}  // namespace atlas::jinja
