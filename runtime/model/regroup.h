#pragma once
// Converts a stream of blocks, in pieces of any size, to a stream of whole planar groups (quant/planar.h).

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "quant/planar.h"
#include "runtime/base/error.h"

namespace atlas {

class Regrouper {
  public:
    /// Takes bytes of the planar layout and where they belong; `bytes` is valid during the call.
    using Take = std::function<Result<void>(uint64_t offset_bytes, std::span<const std::byte> bytes)>;

    /// Requires has_planes(format).
    explicit Regrouper(Format format) : format_(format), group_bytes_(unit_bytes(format, Layout::planar)) {}

    /// Appends bytes of the tensor, in order. Fails: what `take` returns.
    Result<void> add(std::span<const std::byte> bytes, const Take& take);
    /// Fills the last group up with zeros.
    Result<void> finish(const Take& take);

  private:
    Result<void> flush(std::span<const std::byte> blocks, const Take& take);

    Format format_;
    size_t group_bytes_;
    uint64_t done_bytes_ = 0;
    std::vector<std::byte> open_;  // less than a group
    std::vector<std::byte> planar_;
};

}  // namespace atlas
