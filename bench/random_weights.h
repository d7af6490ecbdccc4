#pragma once
// Random weights in any format, written to a device without holding them in host memory.

#include <array>
#include <vector>

#include "runtime/model/weights.h"
#include "runtime/ops/backend.h"

namespace atlas::bench {

/// Valid blocks of `format` for bell-shaped numbers of standard deviation `sigma`: about `bytes` bytes, whole blocks.
/// No NaN, no infinity; the same every time. Elements beyond the first 2^16 repeat.
std::vector<std::byte> random_blocks(Format format, float sigma, uint64_t bytes);

/// Writes random content into weights by uploading a chunk per format again and again.
class RandomWeights {
  public:
    explicit RandomWeights(Backend& backend) : backend_(backend) {}

    /// Matrices get deviation 1/50 (activations keep about their size through a product of some thousand columns),
    /// norms 1, biases 0.
    Result<void> fill(const ResolvedWeight& weight, Storage& to, uint64_t offset_bytes);
    /// A matrix of packed rows at offset_bytes of `to`; bytes: of storage, whole units of the layout.
    Result<void> fill_matrix(Format format, Layout layout, uint64_t bytes, Storage& to, uint64_t offset_bytes = 0);

  private:
    Backend& backend_;
    std::array<std::array<std::vector<std::byte>, 2>, kFormats.size()> chunks_;
};

}  // namespace atlas::bench
