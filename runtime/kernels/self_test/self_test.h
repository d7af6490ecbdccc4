#pragma once
// Whether a kernel variant computes correctly on this device and driver: one small product, compared with the CPU.
// Drivers miscompile; a variant that gives wrong numbers must not be used.

#include <functional>
#include <span>

#include "runtime/kernels/select/matmul_variant.h"
#include "runtime/ops/backend.h"

namespace atlas {

/// The key of a verdict on this use in KernelChoices::rejected.
inline std::string rejection_key(const MatmulUse& use) {
    return rejection_key(use.variant, use.shape.weight, use.shape.layout);
}

/// The shape to test a variant at that was chosen for `shape`: as small as covers a whole tile and a part of one in
/// every direction, with the same remainders, so that what the variant requires of a shape holds. Pure.
MatmulShape self_test_shape(const MatmulUse& use);

/// Runs y = w x of `shape` on the backend, which must choose the variant to be tested, and compares up to 8 tokens of y
/// with the CPU. Returns the largest error as a share of what rounding explains: above 1 is wrong (a NaN is infinitely
/// wrong). Activations of XKind::q8 may be off by half a step of the 8-bit grid. Fails: out_of_memory, device_lost,
/// what the driver refuses. `damage`, if given, changes the weights that the device gets (tests of this test).
Result<double> matmul_error(Backend& backend, const MatmulShape& shape, XKind x,
                            const std::function<void(std::span<std::byte> weights)>& damage = {});

/// The same for y = silu(x gate.w^T) * (x up.w^T), two matrices of `shape` in one storage, by a variant of
/// matvec_gated.
Result<double> gated_error(Backend& backend, const MatmulShape& shape,
                           const std::function<void(std::span<std::byte> weights)>& damage = {});

/// The same for one expert's matrices, by a variant of choose_experts; gated: as gated_error.
Result<double> experts_error(Backend& backend, const MatmulShape& shape, bool gated,
                             const std::function<void(std::span<std::byte> weights)>& damage = {});

/// What the backend computes for the first token of the test's product, whose weights and first token depend only on
/// format, n_out and n_in: two variants, or two widths, that agree in every bit add up in the same order. Fails: as
/// matmul_error.
Result<std::vector<float>> matmul_first_token(Backend& backend, const MatmulShape& shape);

}  // namespace atlas
