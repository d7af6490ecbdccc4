#pragma once
// Fitted rotations: matrices that keys and values are multiplied by before they are rounded for the cache, fitted to
// the statistics of a model's keys, queries and values.
//
// A score is q . k. For any invertible A and any c it equals (A^-T q) . (A (k - c)), up to a number that is the same
// for all keys of a query and that softmax ignores. So c and A may be chosen for the smallest error of the scores:
//   * c is the mean of the keys: half of their energy and more is a constant (SmolLM2: 34 to 66 %), which only takes up
//   range.
//   * rounding makes about the same error in every direction of A (k - c), and A^-T q weighs it. With C the covariance
//   of the keys and Q the
//     second moments of the queries, tr(A C A^T) tr(A^-T Q A^-1) is least where both are the same diagonal matrix
//     ("balanced").
//   * an orthogonal matrix after A changes neither: a reflection maps the first token's key to (r, 0, 0, ...), and the
//     Hadamard matrix maps that to equal numbers, which every format holds exactly. Nearly every query attends to that
//     key, and c has moved it far from zero.
//   * rounding one element after the other can compensate for the errors of those before. With M = A^-T Q A^-1 = F^T D
//     F, F lower triangular with ones on its diagonal, the squared error of the scores is sum_i D_i (e_i + sum_{j < i}
//     F_ij e_j)^2: so element i is rounded at x_i + sum_{j < i} F_ij e_j. (As GPTQ does with weights,
//     arXiv:2210.17323.) What counts then is the determinant of M and no longer its trace, which would have C alone
//     whitened; in between, e^(1/5) for A instead of the balanced e^(1/4), is best (kSpread).
//   * values are the same with what the output matrix makes of their errors in the place of the queries, but for the
//   mean, which stays.
// Scores that go through a soft cap, or a softmax with sinks that are no keys, depend on that constant: for such models
// nothing may be fitted.

#include <cstdint>
#include <vector>

#include "runtime/gguf/writer.h"

namespace atlas {

/// Statistics of a KV head's keys and of the queries of all its query heads, after rope.
struct HeadStatistics {
    uint32_t dim = 0;
    std::vector<double> key_mean;       // [dim]
    std::vector<double> key_moments;    // [dim, dim]: mean of k k^T
    std::vector<double> query_moments;  // [dim, dim]: mean of q q^T
    std::vector<double> first_key;      // [dim] of the token at position 0
};

/// A CacheRotation of one head.
struct HeadRotation {
    std::vector<float> in;        // [dim, dim]
    std::vector<float> shift;     // [dim]
    std::vector<float> out;       // [dim, dim]
    std::vector<float> feedback;  // [dim, dim]
};

/// [n_head_kv] each.
struct LayerRotations {
    std::vector<HeadRotation> k, v;
};

/// Requires finite statistics, dim a multiple of 8. Never fails: a hundredth of the mean variance is added in every
/// direction, so that the statistics of few tokens are not taken as exact.
HeadRotation fit_head_rotation(const HeadStatistics& statistics);

/// Values: `statistics` has them in the place of keys, with a mean of zero, and in the place of the queries' moments
/// W_o^T W_o of the head's columns of the output matrix: the weight of an error in attention's result. The returned
/// shift is zero.
HeadRotation fit_value_rotation(const HeadStatistics& statistics);

/// Mean, covariance and moments of [n, dim] rows; `queries` holds any number of rows. The first row of `keys` is
/// first_key and counts for nothing else.
HeadStatistics head_statistics(uint32_t dim, const std::vector<float>& keys, const std::vector<float>& queries);

/// Updates `sum`, the mean over `n_seen` batches of equally many rows, with one batch more. The first key stays.
void add_to_mean(HeadStatistics& sum, uint32_t n_seen, const HeadStatistics& next);

/// Adds the tensors blk.<layer>.cache_turn_k.weight, cache_turn_k.bias, cache_turn_q.weight,
/// cache_turn_k_feedback.weight, cache_turn_v.weight, cache_turn_v_back.weight and cache_turn_v_feedback.weight. turns:
/// [n_layer].
void add_cache_rotations(const std::vector<LayerRotations>& turns, gguf::Writer& writer);

}  // namespace atlas
