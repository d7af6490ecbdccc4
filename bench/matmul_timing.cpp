#include "bench/matmul_timing.h"

#include <algorithm>

#include "bench/samples.h"
#include "runtime/ops/dry_ops.h"

namespace atlas::bench {

namespace {

/// Activations without values that may be unusually fast or slow: neither zeros nor denormal numbers.
Result<void> fill_x(Backend& backend, Storage& to, uint64_t count) {
    std::vector<float> values(count);
    uint32_t state = 1;
    for (float& value : values) {
        state = state * 1664525u + 1013904223u;
        value = float(state >> 8) / float(1 << 24) - 0.5f;
    }
    ATLAS_TRY_VOID(backend.upload(to, 0, std::as_bytes(std::span(values))));
    return backend.finish_uploads();
}

}  // namespace

// Every product writes the same y, so that each waits for the one before it, as they do in a model.
Result<MatmulTime> time_matmul(Backend& backend, std::span<const Tensor> weights, uint32_t n_tokens,
                               const MatmulTimingOptions& options) {
    ATLAS_CHECK(!weights.empty());
    const Tensor& first = weights.front();
    ATLAS_TRY(const auto x_storage, backend.allocate(MemoryUse::scratch, 4ull * n_tokens * first.cols, "bench x"));
    ATLAS_TRY(const auto y_storage, backend.allocate(MemoryUse::scratch, 4ull * n_tokens * first.rows, "bench y"));
    ATLAS_TRY_VOID(fill_x(backend, *x_storage, uint64_t{n_tokens} * first.cols));
    const Tensor x = dense(*x_storage, Format::f32, n_tokens, first.cols),
                 y = dense(*y_storage, Format::f32, n_tokens, first.rows);

    const auto record = [&](size_t count) -> Result<std::unique_ptr<Program>> {
        const auto pass = [&](Ops& ops) {
            for (size_t i = 0; i < count; ++i) ops.matmul(weights[i % weights.size()], x, y);
        };
        DryOps counted;
        pass(counted);
        ATLAS_TRY_VOID(backend.reserve_scratch(counted.counts().scratch_peak_bytes));
        return backend.record("matmul timing", pass);
    };
    const auto best_of = [&](Program& program, int runs) -> Result<double> {
        double best = 1e30;
        for (int i = 0; i < runs; ++i) {
            const Stopwatch watch;
            ATLAS_TRY_VOID(backend.run(program));
            best = std::min(best, watch.seconds());
        }
        return best;
    };
    // The time of one round over the weights decides how many rounds make a run of the wanted length.
    ATLAS_TRY(const auto trial, record(weights.size()));
    ATLAS_TRY(const double once, best_of(*trial, 2));
    const double rounds =
        std::clamp(options.seconds_per_run / std::max(once, 1e-6), 1.0, 2000.0 / double(weights.size()));
    const auto count = std::max(weights.size(), size_t(rounds * double(weights.size())));
    double seconds = once / double(weights.size());
    if (count > weights.size() * 2) {
        ATLAS_TRY(const auto program, record(count));
        ATLAS_TRY(const double best, best_of(*program, options.runs + 1));
        seconds = best / double(count);
    }
    const double elems = double(first.rows) * first.cols;
    return MatmulTime{seconds, double(first.rows) * double(first.row_stride_bytes()), 2 * elems * n_tokens};
}

}  // namespace atlas::bench
