#pragma once
// The numbers of self-tests: the same everywhere.

#include <cstdint>

namespace atlas {

/// A linear congruential generator (Numerical Recipes' constants); values in [-1, 1).
class SelfTestRandom {
  public:
    float next() {
        state_ = state_ * 1664525u + 1013904223u;
        return float(state_ >> 8) / float(1 << 23) - 1.0f;
    }

  private:
    uint32_t state_ = 12345;
};

}  // namespace atlas
