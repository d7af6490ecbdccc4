#pragma once
// How long matrix products take on a device, alone: for reports and for tuning.

#include <span>
#include <vector>

#include "runtime/ops/backend.h"

namespace atlas::bench {

struct MatmulTime {
    double seconds = 0;  // of one product
    double weight_bytes = 0;
    double flops = 0;
    double gb_per_s() const { return weight_bytes / seconds * 1e-9; }
    double tflop_per_s() const { return flops / seconds * 1e-12; }
};

struct MatmulTimingOptions {
    double seconds_per_run = 0.02;  // of work in one series of submissions: long compared with the cost of submitting
    int runs = 3;                   // the fastest counts
};

/// Times y = w x, cycling through `weights` (all of one shape and format; together larger than the device's caches, so
/// that every product reads memory), one product after the other as in a step. Takes buffers for x and y. Fails:
/// out_of_memory, device_lost, limit.
Result<MatmulTime> time_matmul(Backend& backend, std::span<const Tensor> weights, uint32_t n_tokens,
                               const MatmulTimingOptions& options = {});

}  // namespace atlas::bench
