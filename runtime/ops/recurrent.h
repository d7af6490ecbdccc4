#pragma once
// The types of layers that keep a state of fixed size instead of keys and values.

#include "runtime/ops/tensor.h"

namespace atlas {

/// Which state each token goes on from, and where the state after it is kept. The tokens of a sequence follow each
/// other; one at the position of the one before repeats it, with the same inputs: it changes no state and gives the
/// same result.
struct StateTables {
    U32View positions;  // [n_tokens]
    U32View seqs;       // [n_tokens] rows of `before`: 0 .. the number of sequences in the step
    U32View before;     // [sequences] rows of the states: what a sequence's first token of the step goes on from
    // [n_tokens] rows of the states, or kNoState: the state after this token is not kept. No row is both read and
    // written in a step.
    U32View after;
    static constexpr uint32_t kNoState = UINT32_MAX;
};

inline constexpr uint32_t kLargestDeltaHead = 256;

struct DeltaNetInputs {
    Tensor q, k, v;      // after the convolution
    Tensor alpha, beta;  // a number per head of values, before softplus and sigmoid
    Tensor a, dt_bias;   // of every head of values
};

/// Head h of the values, with q and k of its head of keys divided by sqrt(their sum of squares + eps), and M the
/// [d, d] state, M[i, j]: row i of keys, column j of values:
///   M = exp(a softplus(alpha + dt_bias)) M; delta = sigmoid(beta) (v - M^T k); M = M + k delta^T; y = M^T q / sqrt(d).
struct DeltaNetParams {
    uint32_t n_k_heads = 0;
    uint32_t n_v_heads = 0;  // a multiple of n_k_heads
    uint32_t head_dim = 0;   // d, at most kLargestDeltaHead
    float eps = 0.0f;
    bool grouped = false;  // head h of values uses head h / (n_v_heads / n_k_heads) of keys; else h % n_k_heads
};

struct StateSpaceInputs {
    Tensor b, c, x;        // after the convolution
    Tensor dt;             // a number per head, before softplus
    Tensor a, dt_bias, d;  // of every head
};

/// Head h, with b and c of its group h / (n_heads / n_groups), and S the [n_state, head_dim] state:
///   dt' = softplus(dt + dt_bias); S = exp(a dt') S + b (dt' x)^T; y = S^T c + d x.
struct StateSpaceParams {
    uint32_t n_groups = 0;
    uint32_t n_heads = 0;  // a multiple of n_groups
    uint32_t n_state = 0;  // at most kLargestDeltaHead
    uint32_t head_dim = 0;
};

}  // namespace atlas
