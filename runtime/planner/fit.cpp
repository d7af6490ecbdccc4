#include "runtime/planner/fit.h"

#include <algorithm>
#include <numeric>

#include "runtime/base/units.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

constexpr uint32_t kBatch = 512;  // SessionShape's own default

const Architecture* architecture_of(std::string_view name) {
    for (const Architecture* architecture : architectures()) {
        if (architecture->name == name) return architecture;
    }
    return nullptr;
}

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
    two.n_layer = std::min(2u, model.n_layer);
    if (architecture_of(model.arch) != nullptr) return two;
    two.arch = "llama";
    // Experts of one token side by side are as wide as a dense layer of that size.
    two.n_ff = std::max(model.n_ff, model.n_expert_used * model.n_ff_expert + model.n_ff_shared);
    two.n_expert = two.recurrent_full_every = two.full_every = two.full_head_dim = two.kv_lora_rank = 0;
    two.v_head_dim = two.head_dim;
    return two;
}

ModelConfig config_of(const ModelShape& model) {
    ModelConfig config;
    config.architecture = model.arch;
    config.name = model.id;
    config.n_layer = model.n_layer;
    config.n_embd = model.n_embd;
    config.n_head = model.n_head;
    config.n_head_kv = model.n_head_kv;
    config.head_dim = model.head_dim;
    config.n_ff = model.n_ff;
    config.n_vocab = model.n_vocab;
    config.n_ctx_train = model.n_ctx;
    config.rms_eps = 1e-5f;
    config.attention_scale = 1.0f;
    config.rope.head_dim = config.rope.n_rot = model.head_dim;
    return config;
}

uint64_t whole_pages(uint64_t n_tokens) { return (n_tokens + kPageTokens - 1) / kPageTokens * kPageTokens; }

// K and V bytes of one token in one layer.
uint64_t layer_row_bytes(const ModelShape& m, uint32_t il, const KvFormats& kv) {
    if (m.is_recurrent(il)) return 0;
    if (m.kv_lora_rank > 0) return kv_row_bytes(kv.k, m.kv_lora_rank + m.rope_head_dim);
    const bool other = m.full_head_dim > 0 && !m.is_windowed(il);
    const uint32_t n_kv = other ? m.full_n_head_kv : m.n_head_kv;
    const uint32_t k_dim = other ? m.full_head_dim : m.head_dim, v_dim = other ? m.full_head_dim : m.v_head_dim;
    return kv_row_bytes(kv.k, n_kv * k_dim) + kv_row_bytes(kv.v, n_kv * v_dim);
}

}  // namespace

bool fits_heads(const KvFormats& kv, const ModelShape& model) {
    return model.head_dim % info(kv.k).block_elems == 0 && model.v_head_dim % info(kv.v).block_elems == 0;
}

uint64_t cache_bytes(const ModelShape& model, uint32_t n_ctx, const KvFormats& kv, uint32_t n_batch) {
    uint64_t sum = model.recurrent_bytes;
    for (uint32_t il = 0; il < model.n_layer; ++il) {
        uint64_t tokens = whole_pages(n_ctx);
        if (model.is_windowed(il)) tokens = std::min(tokens, whole_pages(uint64_t{model.window} + n_batch));
        sum += tokens * layer_row_bytes(model, il, kv);
    }
    return sum;
}

uint64_t cache_read_bytes(const ModelShape& model, uint32_t n_tokens, const KvFormats& kv) {
    uint64_t sum = model.recurrent_bytes;
    for (uint32_t il = 0; il < model.n_layer; ++il) {
        const uint64_t tokens = model.is_windowed(il) ? std::min(n_tokens, model.window) : n_tokens;
        sum += tokens * layer_row_bytes(model, il, kv);
    }
    return sum;
}

bool can_run(const ModelShape& model) { return architecture_of(model.arch) != nullptr; }

Result<ModelFit> ModelFit::create(const ModelShape& model, std::string_view quant, bool has_importance) {
    ATLAS_TRY(const auto tensors, quantized_tensors(model, quant, has_importance));
    ModelFit fit;
    fit.model_ = &model;
    fit.quant_ = quant;
    ATLAS_TRY(fit.size_, size_of(model, quant, has_importance));
    fit.weights_bytes_ = 0;
    for (const QuantizedTensor& t : tensors) fit.weights_bytes_ += storage_bytes(t.bytes);
    if (const Architecture* architecture = architecture_of(model.arch)) {
        const auto infos = infos_of(tensors);
        ATLAS_TRY(const auto resolved, resolve_tensors(infos, architecture->weights(), config_of(model), [](Format) { return true; }));
        const auto storages = storages_of(resolved);
        fit.weights_bytes_ = std::accumulate(storages.begin(), storages.end(), uint64_t{0});
    }
    ATLAS_TRY_VOID(fit.prepare_scratch());
    return fit;
}

Result<ModelFit> ModelFit::of_file(const ModelShape& model, std::string_view quant, const ModelSize& size, uint64_t weights_bytes) {
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
    const Architecture* architecture = architecture_of(two.arch);
    two_layers_ = config_of(two);
    forward_ = architecture->forward;
    ATLAS_TRY(const auto tensors, quantized_tensors(two, "F16", false));  // scratch does not depend on the weights' formats
    const auto infos = infos_of(tensors);
    ATLAS_TRY(two_layer_weights_, resolve_tensors(infos, architecture->weights(), two_layers_, [](Format) { return true; }));
    for (ResolvedWeight& weight : two_layer_weights_) weight.source = nullptr;
    return {};
}

MemoryPlan ModelFit::at(uint32_t n_ctx, const KvFormats& kv, uint32_t n_sequences) const {
    // The stack of scratch is as deep in the second layer as in every later one (tested), so two layers are enough to find its peak.
    SessionShape shape;
    shape.n_ctx = n_ctx;
    auto plan = plan_memory({two_layers_, two_layer_weights_, forward_}, shape);
    ATLAS_CHECK(plan.has_value(), "{}", plan ? "" : plan.error().message);
    plan->weights_bytes = weights_bytes_;
    plan->kv_bytes = n_sequences * cache_bytes(*model_, n_ctx, kv, kBatch);
    plan->other_bytes = kPipelineAllowanceBytes;
    return *plan;
}

uint64_t ModelFit::largest_storage_bytes(uint32_t n_ctx, const KvFormats& kv) const {
    const ModelShape& m = *model_;
    const uint64_t k_width = m.kv_lora_rank > 0 ? m.kv_lora_rank + m.rope_head_dim : uint64_t{m.n_head_kv} * m.head_dim;
    const uint64_t row = std::max(kv_row_bytes(kv.k, static_cast<uint32_t>(k_width)), kv_row_bytes(kv.v, m.n_head_kv * m.v_head_dim));
    return std::max(size_.largest_tensor_bytes, whole_pages(n_ctx) * row);
}

uint32_t ModelFit::largest_context(uint64_t available, uint32_t most, const KvFormats& kv, uint32_t n_sequences) const {
    if (at(most, kv, n_sequences).total_bytes() <= available) return static_cast<uint32_t>(whole_pages(most));
    const auto search = [&](const auto& total) {
        uint32_t good = 0, bad = pages_for(most) + 1;
        while (bad - good > 1) {
            const uint32_t middle = good + (bad - good) / 2;
            (total(middle * kPageTokens) <= available ? good : bad) = middle;
        }
        return good * kPageTokens;
    };
    // Scratch is dear to count and hardly grows with the context: first as if it were that of the largest, then exactly from there.
    const MemoryPlan largest = at(most, kv, n_sequences);
    const uint64_t fixed = largest.total_bytes() - largest.kv_bytes;
    uint32_t n_ctx = search([&](uint32_t n) { return fixed + n_sequences * cache_bytes(*model_, n, kv, kBatch); });
    while (n_ctx + kPageTokens <= most && at(n_ctx + kPageTokens, kv, n_sequences).total_bytes() <= available) n_ctx += kPageTokens;
    return n_ctx;
}

}  // namespace atlas
