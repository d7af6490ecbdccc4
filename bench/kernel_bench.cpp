// The matrix products of a model, one shape at a time, cycling through the weights of all layers.
#include <algorithm>
#include <map>
#include <tuple>

#include "bench/matmul_timing.h"
#include "bench/model_bench.h"
#include "runtime/kernels/select/matmul_variant.h"
#include "runtime/kernels/vk_backend.h"
#include "runtime/model/common_weights.h"

namespace atlas::bench {

namespace {

using ShapeKey = std::tuple<Format, uint32_t, uint32_t, Layout>;  // format, n_out, n_in

std::map<ShapeKey, std::vector<Tensor>> matrices_by_shape(const Weights& weights) {
    std::map<ShapeKey, std::vector<Tensor>> found;
    const auto add = [&](WeightId id, const Tensor& w) {
        if (is_product(id, w)) found[{w.format, w.rows, w.cols, w.layout}].push_back(w);
    };
    weights.for_each(add);
    return found;
}

/// The nearer of the two limits: bytes at the measured bandwidth, operations at the measured peak.
double share_of_limit(const MatmulTime& time, const DeviceLimits& limits) {
    if (limits.copy_gb_per_s <= 0 || limits.peak_tflop_per_s() <= 0) return 0;
    return std::max(time.gb_per_s() / std::max(limits.copy_gb_per_s, limits.read_gb_per_s),
                    time.tflop_per_s() / limits.peak_tflop_per_s());
}

}  // namespace

Result<void> measure_kernels(const Model& model, const BenchOptions& options, BenchResult& result) {
    const auto* vulkan = dynamic_cast<const VkBackend*>(&model.backend());
    for (const auto& [key, weights] : matrices_by_shape(model.weights())) {
        const auto& [format, n_out, n_in, layout] = key;
        for (const uint32_t n_tokens : options.kernel_tokens) {
            if (options.stop.stop_requested()) return {};
            KernelRow row;
            row.name = fmt::format("{} [{}, {}] x {}", info(format).name, n_out, n_in, n_tokens);
            if (options.progress) options.progress(row.name);
            ATLAS_TRY(const MatmulTime time, time_matmul(model.backend(), weights, n_tokens));
            if (vulkan != nullptr)
                row.variant =
                    choose_matmul(vulkan->caps(), vulkan->choices(), {format, n_out, n_in, n_tokens, layout}).name();
            row.gb_per_s = time.gb_per_s();
            row.tflop_per_s = time.tflop_per_s();
            row.share_of_limit = share_of_limit(time, result.limits);
            result.kernels.push_back(std::move(row));
        }
    }
    return {};
}

}  // namespace atlas::bench
