#include "runtime/ops/ops.h"

namespace atlas {

void Ops::matmul_add(const Tensor& w, const Tensor& x, const Tensor& b, const Tensor& y) {
    if (!b) return matmul(w, x, y);
    const ScratchScope scope(*this);
    const Tensor product = scratch(y.rows, y.cols, "matmul_add");
    matmul(w, x, product);
    add(product, b, y);
}

void Ops::add_rms_norm(const Tensor& a, const Tensor& b, const Tensor& gain, float eps, const Tensor& sum, const Tensor& y) {
    add(a, b, sum);
    rms_norm(sum, gain, eps, y);
}

}  // namespace atlas
