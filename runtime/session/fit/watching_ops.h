#pragma once
// Copies the queries and keys of a pass as they are before rope, and its values.

#include <vector>

#include "runtime/ops/forwarding_ops.h"

namespace atlas {

class WatchingOps final : public ForwardingOps {
  public:
    /// Where the copies of a layer go: q [n_tokens, n_head * head_dim], k and v [n_tokens, n_head_kv * head_dim].
    struct Copies {
        Tensor q, k, v;
    };
    /// `copies`: one for each layer in the order of the pass; rope rotates the copies of q and k to `positions`.
    /// nothing_q, nothing_k: rows of zeros as wide as q and k.
    WatchingOps(Ops& ops, std::span<const Copies> copies, const U32View& positions, const Tensor& nothing_q,
                const Tensor& nothing_k)
        : ForwardingOps(ops), copies_(copies), positions_(positions), nothing_q_(nothing_q), nothing_k_(nothing_k) {}

    void rope_kv_write(const Tensor& q, const Tensor& k, const Tensor& v, const RopeParams& params,
                       const U32View& positions, const Tensor& factors, const KvLayer& cache,
                       const U32View& slots) override {
        ATLAS_CHECK(layer_ < copies_.size(), "a pass of more than {} layers", copies_.size());
        const Copies& to = copies_[layer_++];
        ops_.add(q, nothing_q_, to.q);
        ops_.add(k, nothing_k_, to.k);
        ops_.add(v, nothing_k_, to.v);
        ops_.rope(to.q, params, positions_, factors);
        ops_.rope(to.k, params, positions_, factors);
        ops_.rope_kv_write(q, k, v, params, positions, factors, cache, slots);
    }

  private:
    std::span<const Copies> copies_;
    U32View positions_;
    Tensor nothing_q_, nothing_k_;
    size_t layer_ = 0;
};

}  // namespace atlas
