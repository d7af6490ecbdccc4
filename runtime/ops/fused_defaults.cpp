#include "runtime/ops/ops.h"

namespace atlas {

void Ops::matmul_add(const Tensor& w, const Tensor& x, const Tensor& b, const Tensor& y) {
    if (!b) return matmul(w, x, y);
    const ScratchScope scope(*this);
    const Tensor product = scratch(y.rows, y.cols, "matmul_add");
    matmul(w, x, product);
    add(product, b, y);
}

void Ops::matmul_group(std::span<const MatmulTerm> terms, const Tensor& x) {
    for (const MatmulTerm& term : terms) matmul_add(term.w, x, term.b, term.y);
}

void Ops::matmul_gated(Activation activation, const MatmulTerm& gate, const MatmulTerm& up, const Tensor& x,
                       const Tensor& y) {
    const ScratchScope scope(*this);
    const Tensor factor = scratch(y.rows, y.cols, "ffn_up");
    matmul_add(gate.w, x, gate.b, y);
    matmul_add(up.w, x, up.b, factor);
    gated_mul(activation, y, factor, y);
}

void Ops::rope_kv_write(const Tensor& q, const Tensor& k, const Tensor& v, const RopeParams& params,
                        const U32View& positions, const Tensor& factors, const KvLayer& cache, const U32View& slots) {
    rope(q, params, positions, factors);
    rope(k, params, positions, factors);
    if (cache.rotate_k && cache.fitted_k) {
        rotate_heads(q, cache.fitted_k.out, {});
        rotate_heads(k, cache.fitted_k.in, cache.fitted_k.shift);
    } else if (cache.rotate_k) {
        hadamard(q, hadamard_block(params.head_dim));
        hadamard(k, hadamard_block(params.head_dim));
        if (cache.fitted_k.shift) add(k, cache.fitted_k.shift, k);
    }
    if (cache.rotate_v && cache.fitted_v)
        rotate_heads(v, cache.fitted_v.in, {});
    else if (cache.rotate_v)
        hadamard(v, hadamard_block(v.cols / (k.cols / params.head_dim)));
    kv_write(k, v, cache, slots);
}

void Ops::rms_norm_heads(const Tensor& x, const Tensor& gain, float eps, uint32_t head_dim, const Tensor& y) {
    ATLAS_CHECK(head_dim > 0 && x.cols % head_dim == 0, "rms_norm_heads: {} columns in heads of {}", x.cols, head_dim);
    for (uint32_t at = 0; at < x.cols; at += head_dim)
        rms_norm(x.col_range(at, head_dim), gain, eps, y.col_range(at, head_dim));
}

void Ops::add_rms_norm(const Tensor& a, const Tensor& b, const Tensor& gain, float eps, const Tensor& sum,
                       const Tensor& y) {
    add(a, b, sum);
    rms_norm(sum, gain, eps, y);
}

}  // namespace atlas
