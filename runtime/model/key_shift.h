#pragma once
// What is subtracted from a model's keys before they are rounded for the cache: the part of their bias that rope leaves
// unchanged on average.
//
// Softmax ignores a number that is the same for all keys of a query, so any constant c may be subtracted from all keys
// of a head: q . (k - c) = q . k - q . c. Models whose keys have a bias (Qwen2) keep large numbers in a few channels,
// up to 350 where other elements are about 1, and a block's scale follows its largest element. Rope rotates a bias by
// the position, but most of it lies in pairs that hardly rotate: what is subtracted is the mean of the rotated bias
// over kShiftPositions positions. Of Qwen2.5-Coder-0.5B's largest key bias, 35 (root mean square over the head), 0.8 to
// 9 remains, of 1.5B's, 81, 1.1 (bench/results/lavapipe/kv_quality.md).
// Scores that go through a soft cap, or a softmax with sinks that are no keys, depend on that constant: for such models
// nothing may be subtracted.

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/ops/ops.h"

namespace atlas {

/// The positions of the mean; at most the context that the model was made for. Any constant may be subtracted: with a
/// longer context results stay correct, but more of the bias remains.
inline constexpr uint32_t kShiftPositions = 8192;

/// What CacheRotation::shift adds to keys after the Hadamard rotation: -H times the mean of rope(bias). bias:
/// [n_head_kv * rope.head_dim], finite or not: what is not finite gives zeros for its head.
std::vector<float> key_shift(std::span<const float> bias, const RopeParams& rope, uint32_t n_ctx_train);

/// Root mean square of what the shift leaves of the bias, over the elements of a head and the positions: of the head
/// that has most. Infinite where the bias is not finite.
double key_bias_left(std::span<const float> bias, const RopeParams& rope, uint32_t n_ctx_train);

}  // namespace atlas
