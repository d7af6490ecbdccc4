#pragma once
// Every kernel that a device would ever be given: all formats, all variants that select offers, decode to prefill.

#include "bench/plan_backend.h"

namespace atlas::bench {

/// Plans, on `backend`, every operation of the vocabulary at shapes that reach all its kernels: every weight format
/// with 1, 8, 24, 64 and 512 tokens and every candidate variant; attention with heads of 64, 128 and 256 and every
/// cache format. Fails: limit.
Result<void> plan_every_kernel(PlanBackend& backend, const vk::DeviceCaps& caps);

/// The kernels of one matrix product for each variant that the device offers for the shape.
Result<void> plan_matmul_variants(PlanBackend& backend, const vk::DeviceCaps& caps, const MatmulShape& shape);

}  // namespace atlas::bench
