#pragma once
// The types of a feed-forward block of experts (mixture of experts, arXiv:1701.06538).

#include "runtime/ops/tensor.h"

namespace atlas {

/// How a router chooses n_used of a token's experts. p = gating(logits); the experts with the largest p + bias are
/// chosen, of equal ones the first. With groups (n_groups > 1) only experts of the n_groups_used groups are looked at
/// whose two largest p + bias have the largest sum. Their weights are p without the bias; `normalized` divides them by
/// max(their sum, 6.1035e-5); then they are multiplied with `scale`.
/// Of a token the row of `routes` holds the n_used experts as numbers, best first, and then their weights.
struct RoutingParams {
    enum class Gating {
        softmax,          // over all experts
        sigmoid,          // of every logit
        softmax_of_used,  // p = the logits; the weights are the softmax of those that were chosen
        sqrt_softplus,    // sqrt(ln(1 + exp(logit)))
    };
    Gating gating = Gating::softmax;
    uint32_t n_used = 0;
    uint32_t n_groups = 1;  // divides the number of experts
    uint32_t n_groups_used = 1;
    bool normalized = false;
    float scale = 1.0f;
};

/// One matrix of every expert. That of expert e is rows e * stride + first .. + n_out of w, so that a file's merged
/// gate and up matrices are two of these.
struct ExpertMatrices {
    Tensor w;      // [n_experts * stride, n_in], any format
    Tensor b;      // f32 [n_experts, n_out] or empty
    Tensor scale;  // f32 [1, n_experts] or empty: multiplies what the expert gives, before the bias
    uint32_t n_out = 0;
    uint32_t first = 0;
    uint32_t stride = 0;

    explicit operator bool() const { return bool(w); }
};

}  // namespace atlas
