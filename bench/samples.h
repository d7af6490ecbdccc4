#pragma once
// Repeated measurements of one thing.

#include <chrono>
#include <vector>

namespace atlas::bench {

/// Requires at least one value; of an even count the mean of the two in the middle.
double median(std::vector<double> values);
/// (largest - smallest) / median; 0 for one value.
double spread(const std::vector<double>& values);

/// Wall clock since it was made.
class Stopwatch {
  public:
    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace atlas::bench
