#pragma once
// Rounding with feedback (CacheRotation::feedback), as slow and obvious loops.

#include <cstddef>
#include <span>
#include <vector>

#include "runtime/ops/tensor.h"

namespace atlas::test {

/// A head of `dim` elements (a multiple of 32) in blocks as files hold them. feedback: [dim, dim].
/// The candidates of a block's scale, and the order of sums, are those of shaders/kv/round_with_feedback.glsl.
std::vector<std::byte> round_with_feedback(Format format, std::span<const float> head, std::span<const float> feedback);

}  // namespace atlas::test
