#include "runtime/planner/fit.h"

#include <algorithm>
#include <numeric>

#include "runtime/base/largest_fitting.h"
#include "runtime/base/units.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

constexpr uint32_t kBatch = 512;  // SessionShape's own default

std::vector<gguf::TensorInfo> infos_of(std::span<const QuantizedTensor> tensors) {
    std::vector<gguf::TensorInfo> infos;
    for (const QuantizedTensor& t : tensors) {
        gguf::TensorInfo info;
        info.name = t.tensor.name;
        info.shape = t.tensor.shape;
        info.format = t.format;
        info.bytes = t.bytes;
        infos.push_back(std::move(info));
    }
    return infos;
}

// A decoder of two layers with the model's dimensions that this build can run, to count scratch with.
ModelShape stand_in(const ModelShape& model) {
    ModelShape two = model;
    two.config.layers.resize(std::min(2u, model.n_layer()));
    if (can_run(model)) return two;
    two.arch = two.config.architecture = "llama";
    // Layers as large as the largest, and experts of one token side by side are as wide as a dense layer of that size.
    LayerConfig plain;
    for (const LayerConfig& layer : model.config.layers) {
        plain.n_head = std::max(plain.n_head, layer.n_head);
        plain.n_head_kv = std::max(plain.n_head_kv, layer.n_head_kv);
        plain.head_dim = std::max(plain.head_dim, layer.head_dim);
        plain.n_ff =
            std::max({plain.n_ff, layer.n_ff, layer.experts.n_used * layer.experts.n_ff + layer.experts.n_ff_shared});
    }
    plain.v_head_dim = plain.rope.head_dim = plain.rope.n_rot = plain.head_dim;
    std::fill(two.config.layers.begin(), two.config.layers.end(), plain);
    return two;
}

uint64_t whole_pages(uint64_t n_tokens) { return (n_tokens + kPageTokens - 1) / kPageTokens * kPageTokens; }

// K and V bytes of one token in one layer.
uint64_t row_bytes(const CacheShape& cache, const KvFormats& kv) {
    return (cache.k_width > 0 ? kv_row_bytes(kv.k, cache.k_width) : 0) +
           (cache.v_width > 0 ? kv_row_bytes(kv.v, cache.v_width) : 0);
}

}  // namespace

uint64_t cache_bytes(const ModelConfig& config, uint32_t n_ctx, const KvFormats& kv, uint32_t n_batch) {
    uint64_t sum = 0;
    for (const LayerConfig& layer : config.layers) {
        const CacheShape cache = layer.cache();
        uint64_t tokens = whole_pages(n_ctx);
        if (cache.window > 0) tokens = std::min(tokens, whole_pages(uint64_t{cache.window} + n_batch));
        sum += cache.state_bytes + tokens * row_bytes(cache, kv);
    }
    return sum;
}

uint64_t cache_read_bytes(const ModelConfig& config, uint32_t n_tokens, const KvFormats& kv) {
    uint64_t sum = 0;
    for (const LayerConfig& layer : config.layers) {
        const CacheShape cache = layer.cache();
        const uint64_t tokens = cache.window > 0 ? std::min(n_tokens, cache.window) : n_tokens;
        sum += cache.state_bytes + tokens * row_bytes(cache, kv);
    }
    return sum;
}

bool can_run(const ModelShape& model) {
    const Architecture* known = architecture_named(model.arch);
    return known != nullptr && known->runs();
}

Result<ModelFit> ModelFit::create(const ModelShape& model, std::string_view quant, bool has_importance) {
    ATLAS_TRY(const auto tensors, quantized_tensors(model, quant, has_importance));
    ModelFit fit;
    fit.model_ = &model;
    fit.quant_ = quant;
    ATLAS_TRY(fit.size_, size_of(model, quant, has_importance));
    fit.weights_bytes_ = 0;
    for (const QuantizedTensor& t : tensors) fit.weights_bytes_ += storage_bytes(t.bytes);
    if (can_run(model)) {
        const auto infos = infos_of(tensors);
        const WeightTable table = architecture_named(model.arch)->weights(model.config);
        ATLAS_TRY(const auto resolved, resolve_tensors(infos, table, model.config, [](Format) { return true; }));
        const auto storages = storages_of(resolved);
        fit.weights_bytes_ = std::accumulate(storages.begin(), storages.end(), uint64_t{0});
    }
    ATLAS_TRY_VOID(fit.prepare_scratch());
    return fit;
}

Result<ModelFit> ModelFit::of_file(const ModelShape& model, std::string_view quant, const ModelSize& size,
                                   uint64_t weights_bytes) {
    ModelFit fit;
    fit.model_ = &model;
    fit.quant_ = quant;
    fit.size_ = size;
    fit.weights_bytes_ = weights_bytes;
    ATLAS_TRY_VOID(fit.prepare_scratch());
    return fit;
}

Result<void> ModelFit::prepare_scratch() {
    const ModelShape two = stand_in(*model_);
    const Architecture* architecture = architecture_named(two.arch);
    two_layers_ = two.config;
    forward_ = architecture->forward;
    ATLAS_TRY(const auto tensors,
              quantized_tensors(two, "F16", false));  // scratch does not depend on the weights' formats
    const auto infos = infos_of(tensors);
    ATLAS_TRY(two_layer_weights_,
              resolve_tensors(infos, architecture->weights(two_layers_), two_layers_, [](Format) { return true; }));
    for (ResolvedWeight& weight : two_layer_weights_) weight.source = nullptr;
    return {};
}

MemoryPlan ModelFit::at(uint32_t n_ctx, const KvFormats& kv, uint32_t n_sequences) const {
    // The stack of scratch is as deep in the second layer as in every later one (tested), so two layers are enough to
    // find its peak.
    SessionShape shape;
    shape.n_ctx = n_ctx;
    auto plan = plan_memory({two_layers_, two_layer_weights_, forward_}, shape);
    ATLAS_CHECK(plan.has_value(), "{}", plan ? "" : plan.error().message);
    plan->weights_bytes = weights_bytes_;
    plan->kv_bytes = n_sequences * cache_bytes(model_->config, n_ctx, kv, kBatch);
    plan->other_bytes = kPipelineAllowanceBytes;
    return *plan;
}

uint64_t ModelFit::largest_storage_bytes(uint32_t n_ctx, const KvFormats& kv) const {
    uint64_t row = 0;
    for (const LayerConfig& layer : model_->config.layers) {
        const CacheShape cache = layer.cache();
        row = std::max({row, kv_row_bytes(kv.k, cache.k_width), kv_row_bytes(kv.v, cache.v_width)});
    }
    return std::max(size_.largest_tensor_bytes, whole_pages(n_ctx) * row);
}

uint32_t ModelFit::largest_context(uint64_t available, uint32_t most, const KvFormats& kv, uint32_t n_sequences) const {
    if (at(most, kv, n_sequences).total_bytes() <= available) return static_cast<uint32_t>(whole_pages(most));
    // Counting scratch is expensive, and scratch hardly grows with the context. So start with the scratch of the
    // largest context, then search exactly from the result.
    const MemoryPlan largest = at(most, kv, n_sequences);
    const uint64_t fixed = largest.total_bytes() - largest.kv_bytes;
    const auto about_fits = [&](uint32_t pages) {
        return fixed + n_sequences * cache_bytes(model_->config, pages * kPageTokens, kv, kBatch) <= available;
    };
    uint32_t n_ctx = largest_fitting(0, pages_for(most), about_fits) * kPageTokens;
    while (n_ctx + kPageTokens <= most && at(n_ctx + kPageTokens, kv, n_sequences).total_bytes() <= available)
        n_ctx += kPageTokens;
    return n_ctx;
}

}  // namespace atlas
