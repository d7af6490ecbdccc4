#pragma once
// Finds the fastest kernel for each matrix product of a model on a device, by measuring.

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "runtime/kernels/vk_backend.h"
#include "runtime/model/weights.h"

namespace atlas::bench {

/// The widths that are measured; others share the measurement of their bucket (tuning_key).
inline constexpr uint32_t kTunedWidths[] = {1, 2, 4, 8, 16, 32, 64, 512};
struct TuneOptions {
    bool allow_int8 =
        false;  // also variants that round activations to 8 bits, for up to kBatchInvariantWidth tokens (see dry_ops.h)
    double seconds = 50;  // after that, products that are not measured keep their default
    std::stop_token stop;
    std::function<void(const std::string& what)> progress;
};

/// The result for one shape and width.
struct TunedProduct {
    MatmulShape shape;
    std::string winner;
    double winner_seconds = 0;
    std::string first_draft;  // the variant that runs without tuning
    double first_draft_seconds = 0;
    std::vector<std::string> wrong;  // variants that gave wrong numbers
};

struct TuneResult {
    std::vector<TunedProduct> products;
    KernelChoices choices;  // winners, and rejected variants
    uint32_t n_measured = 0;
    bool complete = true;  // else time was up, or it was stopped
    double seconds = 0;
};

/// Every matrix shape of a model's weights, once; n_tokens is 0. Vectors are no matrices.
std::vector<MatmulShape> matrix_shapes(const Weights& weights);

/// A variant that was timed, for one width.
struct TimedVariant {
    MatmulVariant variant;
    double seconds = 0;
    std::vector<float>
        first_token;  // of matmul_first_token at a fixed small shape: the bits show in which order it adds up
};

/// Of the variants measured at widths up to kBatchInvariantWidth, one winner per width such that all give the same bits
/// (first_token) and the sum of their times, each as a ratio to the best of its width, is smallest. Empty if no such
/// set of winners exists. Pure.
std::vector<TimedVariant> batch_invariant_winners(const std::vector<std::vector<TimedVariant>>& by_width);

/// Measures on the backend. Every variant is checked before it is timed. Fails: out_of_memory, device_lost.
Result<TuneResult> tune(VkBackend& backend, const std::vector<MatmulShape>& shapes, const TuneOptions& options);

}  // namespace atlas::bench
