#pragma once
// Forwards every operation to another Ops. A class that observes some of them derives from it and overrides only those.

#include "runtime/ops/ops.h"

namespace atlas {

class ForwardingOps : public Ops {
  public:
    explicit ForwardingOps(Ops& ops) : ops_(ops) {}

    Tensor scratch(uint32_t rows, uint32_t cols, std::string_view name) override {
        return ops_.scratch(rows, cols, name);
    }
    uint64_t mark() override { return ops_.mark(); }
    void release(uint64_t mark) override { ops_.release(mark); }
    void label(std::string_view name) override { ops_.label(name); }
    void get_rows(const Tensor& table, const U32View& ids, const Tensor& out) override {
        ops_.get_rows(table, ids, out);
    }
    void matmul(const Tensor& w, const Tensor& x, const Tensor& y) override { ops_.matmul(w, x, y); }
    void rms_norm(const Tensor& x, const Tensor& gain, float eps, const Tensor& y) override {
        ops_.rms_norm(x, gain, eps, y);
    }
    void add(const Tensor& a, const Tensor& b, const Tensor& y) override { ops_.add(a, b, y); }
    void gated_mul(Activation activation, const Tensor& gate, const Tensor& up, const Tensor& y) override {
        ops_.gated_mul(activation, gate, up, y);
    }
    void activate(Activation activation, const Tensor& x, const Tensor& y) override { ops_.activate(activation, x, y); }
    void layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, float eps, const Tensor& y) override {
        ops_.layer_norm(x, gain, bias, eps, y);
    }
    void scale(const Tensor& x, float f, float cap, const Tensor& y) override { ops_.scale(x, f, cap, y); }
    void scale_by_position(const Tensor& x, const U32View& positions, float beta, uint32_t n_ctx) override {
        ops_.scale_by_position(x, positions, beta, n_ctx);
    }
    void route(const Tensor& logits, const Tensor& bias, const RoutingParams& params, const Tensor& routes) override {
        ops_.route(logits, bias, params, routes);
    }
    void experts_up(Activation activation, const ExpertMatrices& gate, const ExpertMatrices& up, const Tensor& x,
                    const Tensor& routes, const Tensor& y) override {
        ops_.experts_up(activation, gate, up, x, routes, y);
    }
    void experts_down(const ExpertMatrices& down, const Tensor& x, const Tensor& routes, const Tensor& y) override {
        ops_.experts_down(down, x, routes, y);
    }
    void causal_conv(const Tensor& x, const Tensor& w, const Tensor& b, bool silu, const StateTables& tables,
                     const Tensor& states, const Tensor& y) override {
        ops_.causal_conv(x, w, b, silu, tables, states, y);
    }
    void delta_net(const DeltaNetInputs& inputs, const DeltaNetParams& params, const StateTables& tables,
                   const Tensor& states, const Tensor& y) override {
        ops_.delta_net(inputs, params, tables, states, y);
    }
    void state_space(const StateSpaceInputs& inputs, const StateSpaceParams& params, const StateTables& tables,
                     const Tensor& states, const Tensor& y) override {
        ops_.state_space(inputs, params, tables, states, y);
    }
    void rope(const Tensor& x, const RopeParams& params, const U32View& positions, const Tensor& factors) override {
        ops_.rope(x, params, positions, factors);
    }
    void hadamard(const Tensor& x, uint32_t block) override { ops_.hadamard(x, block); }
    void rotate_heads(const Tensor& x, const Tensor& w, const Tensor& shift) override {
        ops_.rotate_heads(x, w, shift);
    }
    void kv_write(const Tensor& k, const Tensor& v, const KvLayer& cache, const U32View& slots) override {
        ops_.kv_write(k, v, cache, slots);
    }
    void kv_copy(const Tensor& from, const U32View& from_pages, const Tensor& to, const U32View& to_pages,
                 uint32_t page_tokens) override {
        ops_.kv_copy(from, from_pages, to, to_pages, page_tokens);
    }
    void attention(const Tensor& q, const KvLayer& cache, const AttentionTables& tables, const AttentionParams& params,
                   const Tensor& y) override {
        ops_.attention(q, cache, tables, params, y);
    }
    void sample(const Tensor& logits, const SampleTables& tables) override { ops_.sample(logits, tables); }
    void matmul_add(const Tensor& w, const Tensor& x, const Tensor& b, const Tensor& y) override {
        ops_.matmul_add(w, x, b, y);
    }
    void matmul_group(std::span<const MatmulTerm> terms, const Tensor& x) override { ops_.matmul_group(terms, x); }
    void matmul_gated(Activation activation, const MatmulTerm& gate, const MatmulTerm& up, const Tensor& x,
                      const Tensor& y) override {
        ops_.matmul_gated(activation, gate, up, x, y);
    }
    void rope_kv_write(const Tensor& q, const Tensor& k, const Tensor& v, const RopeParams& params,
                       const U32View& positions, const Tensor& factors, const KvLayer& cache,
                       const U32View& slots) override {
        ops_.rope_kv_write(q, k, v, params, positions, factors, cache, slots);
    }
    void rms_norm_heads(const Tensor& x, const Tensor& gain, float eps, uint32_t head_dim, const Tensor& y) override {
        ops_.rms_norm_heads(x, gain, eps, head_dim, y);
    }
    void add_rms_norm(const Tensor& a, const Tensor& b, const Tensor& gain, float eps, const Tensor& sum,
                      const Tensor& y) override {
        ops_.add_rms_norm(a, b, gain, eps, sum, y);
    }

  protected:
    Ops& ops_;
};

}  // namespace atlas
