#include "runtime/planner/fit.h"

#include <algorithm>
#include <tuple>

#include "runtime/base/units.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

const uint32_t kBatch = SessionShape().n_batch;

// Whether they need the same scratch.
bool is_same_kind(const LayerConfig& a, const LayerConfig& b) {
    const auto kind = [](const LayerConfig& l) {
        return std::tuple(l.mixer, l.n_head, l.n_head_kv, l.head_dim, l.v_head_dim, l.n_ff, l.experts.n,
                          l.experts.n_ff);
    };
    return kind(a) == kind(b);
}

// The first two layers, and the first of every other kind.
std::vector<LayerConfig> two_and_other_kinds(std::span<const LayerConfig> layers) {
    std::vector<LayerConfig> few;
    for (const LayerConfig& layer : layers) {
        const bool is_known =
            std::any_of(few.begin(), few.end(), [&](const LayerConfig& other) { return is_same_kind(other, layer); });
        if ((few.size() < 2 || !is_known) && !layer.kv_layer) few.push_back(layer);
    }
    return few;
}

// A decoder of few layers with the model's dimensions that this build can run, to count scratch with.
ModelShape stand_in(const ModelShape& model) {
    ModelShape two = model;
    two.config.layers = two_and_other_kinds(model.config.layers);
    if (can_run(model)) return two;
    two.arch = two.config.architecture = "llama";
    // Layers as large as the largest, and experts of one token side by side are as wide as a dense layer of that size.
    LayerConfig plain;
    for (const LayerConfig& layer : model.config.layers) {
        plain.n_head = std::max(plain.n_head, layer.n_head);
        plain.n_head_kv = std::max(plain.n_head_kv, layer.n_head_kv);
        plain.head_dim = std::max(plain.head_dim, layer.head_dim);
        plain.n_ff = std::max(
            {plain.n_ff, layer.n_ff, layer.experts.routing.n_used * layer.experts.n_ff + layer.experts.n_ff_shared});
    }
    plain.v_head_dim = plain.rope.head_dim = plain.rope.n_rot = plain.head_dim;
    std::fill(two.config.layers.begin(), two.config.layers.end(), plain);
    return two;
}

// `cache_of`: the cache of a layer that counts; `tokens_of`: how many tokens it counts with.
template <class CacheOf, class TokensOf>
uint64_t sum_over_layers(const ModelConfig& config, const KvFormats& kv, CacheOf&& cache_of, TokensOf&& tokens_of) {
    uint64_t sum = 0;
    for (const LayerConfig& layer : config.layers) {
        const CacheShape cache = cache_of(layer);
        const uint64_t row = (cache.k_width > 0 ? kv_row_bytes(kv.k, cache.k_width) : 0) +
                             (cache.v_width > 0 ? kv_row_bytes(kv.v, cache.v_width) : 0);
        sum += cache.state_bytes + tokens_of(cache) * row;
    }
    return sum;
}

// The states that run and chat keep besides one of each sequence. Their verify steps have as many tokens as one pass
// over the weights serves.
uint64_t more_states_bytes(const ModelConfig& config, uint32_t n_sequences) {
    const SessionShape shape{.max_outputs = kBatchInvariantWidth, .max_timelines = n_sequences};
    const uint32_t n_slots = state_counts(config, shape).n_slots;
    return n_slots == 0 ? 0 : sum_of(state_storages(config, n_slots - n_sequences));
}

}  // namespace

uint64_t cache_bytes(const ModelConfig& config, uint32_t n_ctx, const KvFormats& kv, uint32_t n_batch) {
    SessionShape shape;
    shape.n_batch = n_batch;
    const KvRows rows = kv_rows(config, shape, n_ctx);
    const auto own = [](const LayerConfig& layer) { return layer.cache(); };
    return sum_over_layers(config, kv, own, [&](const CacheShape& cache) { return uint64_t{rows.of(cache)}; });
}

uint64_t cache_read_bytes(const ModelConfig& config, uint32_t n_tokens, const KvFormats& kv) {
    const auto read = [&](const LayerConfig& layer) {
        return layer.kv_layer ? config.layers[*layer.kv_layer].cache() : layer.cache();
    };
    return sum_over_layers(config, kv, read, [&](const CacheShape& cache) {
        return uint64_t{cache.window > 0 ? std::min(n_tokens, cache.window) : n_tokens};
    });
}

bool can_run(const ModelShape& model) {
    const Architecture* known = architecture_named(model.arch);
    return known != nullptr && known->runs();
}

Result<ModelFit> ModelFit::create(const ModelShape& model, std::string_view quant, bool has_importance,
                                  const ModelFit* same) {
    ATLAS_TRY(const auto tensors, quantized_tensors(model, quant, has_importance));
    ModelFit fit;
    fit.model_ = &model;
    fit.quant_ = quant;
    ATLAS_TRY(fit.size_, size_of(model, quant, has_importance));
    if (can_run(model)) {
        const WeightTable table = architecture_named(model.arch)->weights(model.config);
        ATLAS_TRY(const auto resolved, resolve_tensors(tensors, table, model.config, [](Format) { return true; }));
        fit.weights_bytes_ = sum_of(storages_of(resolved));
    } else {
        for (const gguf::TensorInfo& tensor : tensors) fit.weights_bytes_ += storage_bytes(tensor.bytes);
    }
    if (same != nullptr) {
        ATLAS_CHECK(same->model_ == &model);
        fit.layers_ = same->layers_;
    } else {
        ATLAS_TRY(fit.layers_, first_layers(model));
    }
    return fit;
}

Result<ModelFit> ModelFit::of_file(const ModelShape& model, std::string_view quant, const ModelSize& size,
                                   uint64_t weights_bytes) {
    ModelFit fit;
    fit.model_ = &model;
    fit.quant_ = quant;
    fit.size_ = size;
    fit.weights_bytes_ = weights_bytes;
    ATLAS_TRY(fit.layers_, first_layers(model));
    return fit;
}

Result<std::shared_ptr<ModelFit::Layers>> ModelFit::first_layers(const ModelShape& model) {
    const ModelShape two = stand_in(model);
    const Architecture* architecture = architecture_named(two.arch);
    auto layers = std::make_shared<Layers>();
    layers->config = two.config;
    layers->forward = architecture->forward;
    ATLAS_TRY(const auto tensors,
              quantized_tensors(two, "F16", false));  // scratch does not depend on the weights' formats
    ATLAS_TRY(layers->weights, resolve_tensors(tensors, architecture->weights(layers->config), layers->config,
                                               [](Format) { return true; }));
    for (ResolvedWeight& weight : layers->weights) weight.source = nullptr;
    return layers;
}

MemoryPlan ModelFit::at(uint32_t n_ctx, const KvFormats& kv, uint32_t n_sequences) const {
    // The stack of scratch is as deep in the second layer as in every later one (tested), so two layers are enough to
    // find its peak.
    SessionShape shape;
    shape.n_ctx = n_ctx;
    auto known = layers_->plans.find(n_ctx);
    if (known == layers_->plans.end()) {
        const auto counted = plan_memory({layers_->config, layers_->weights, layers_->forward}, shape);
        ATLAS_CHECK(counted.has_value(), "{}", counted ? "" : counted.error().message);
        known = layers_->plans.emplace(n_ctx, *counted).first;
    }
    MemoryPlan plan = known->second;
    plan.weights_bytes = weights_bytes_;
    plan.kv_bytes =
        n_sequences * cache_bytes(model_->config, n_ctx, kv, kBatch) + more_states_bytes(model_->config, n_sequences);
    plan.other_bytes = kPipelineAllowanceBytes;
    plan.largest_storage_bytes = size_.largest_tensor_bytes;
    const KvRows rows = kv_rows(model_->config, shape, n_ctx);
    for (const LayerConfig& layer : model_->config.layers) {
        const CacheShape cache = layer.cache();
        const uint64_t row = std::max(kv_row_bytes(kv.k, cache.k_width), kv_row_bytes(kv.v, cache.v_width));
        plan.largest_storage_bytes = std::max(plan.largest_storage_bytes, rows.of(cache) * row);
    }
    return plan;
}

std::optional<MemoryPlan> ModelFit::longest(const Room& room, uint32_t least, uint32_t most, const KvFormats& kv,
                                            uint32_t n_sequences) const {
    return longest_fitting(room, least, most, [&](uint32_t n_ctx) { return at(n_ctx, kv, n_sequences); });
}

}  // namespace atlas
