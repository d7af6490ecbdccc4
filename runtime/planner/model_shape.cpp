#include "runtime/planner/model_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "runtime/model/common_weights.h"
#include "runtime/model/decoder_config.h"
#include "runtime/model/limits.h"

namespace atlas {

namespace {

bool is_there(const ModelShape& model, const WeightRule& rule) {
    if (rule.content != Content::as_stored) return false;  // made of another rule's tensor
    switch (rule.need) {
        case Need::required:
            return true;
        case Need::usual:
            return rule.id == kOutput ? !model.tied : model.qkv_bias;
        case Need::optional:
            return rule.id == kRopeFreqs && model.rope_factors;
    }
    return false;
}

uint32_t largest(const ModelConfig& config, uint32_t LayerConfig::*count) {
    uint32_t most = 0;
    for (const LayerConfig& layer : config.layers) most = std::max(most, layer.*count);
    return most;
}

// Layers without heads have another mixer. What it caches is unknown and counts as nothing.
Result<std::vector<uint32_t>> heads_of(const KeyReader& keys, std::string_view key, uint32_t n_layer) {
    ATLAS_TRY(auto heads, keys.per_layer(key, n_layer, {0, kMaxHeads}));
    const bool has_some = std::any_of(heads.begin(), heads.end(), [](uint32_t n) { return n > 0; });
    if (!has_some)
        return fail(ErrorCode::corrupt, "{}: expected 1 .. {} in some layer, found 0", keys.full(key), kMaxHeads);
    return heads;
}

Result<LayerConfig> any_layer(const KeyReader& keys, uint32_t n_embd, uint32_t n_head, uint32_t n_head_kv) {
    constexpr uint32_t kMaxHeadDim = 1024;
    LayerConfig layer;
    layer.n_head = n_head;
    layer.n_head_kv = n_head_kv;
    if (n_head_kv > 0)
        ATLAS_TRY_VOID(check_head_counts(keys.full("attention."), n_head, n_head_kv).map([](const HeadCounts&) {}));
    ATLAS_TRY(layer.head_dim, keys.count_or("attention.key_length", {1, kMaxHeadDim},
                                            std::clamp(n_embd / std::max(n_head, 1u), 1u, kMaxHeadDim)));
    ATLAS_TRY(layer.v_head_dim, keys.count_or("attention.value_length", {1, kMaxHeadDim}, layer.head_dim));
    layer.rope.head_dim = layer.rope.n_rot = layer.head_dim;
    return layer;
}

Result<ModelConfig> read_any_config(const KeySource& source) {
    const KeyReader keys(source);
    ModelConfig config;
    config.architecture = source.architecture();
    config.name = source.name();
    ATLAS_TRY(const uint32_t n_layer, keys.count("block_count", {1, kMaxLayers}));
    ATLAS_TRY(config.n_embd, keys.count("embedding_length", {1, kMaxWidth}));
    ATLAS_TRY(config.n_ctx_train, keys.count("context_length", {1, kMaxContext}));
    ATLAS_TRY(config.n_vocab, source.n_vocab());
    ATLAS_TRY(const auto n_head, heads_of(keys, "attention.head_count", n_layer));
    auto n_head_kv = n_head, n_ff = std::vector<uint32_t>(n_layer, 0);
    if (keys.has("attention.head_count_kv")) {
        ATLAS_TRY(n_head_kv, heads_of(keys, "attention.head_count_kv", n_layer));
    }
    ATLAS_TRY(ExpertsConfig experts, read_experts(keys, {}));
    if (experts.n == 0 || keys.has("feed_forward_length")) {
        ATLAS_TRY(n_ff, keys.per_layer("feed_forward_length", n_layer, {0, kMaxWidth}));
    }
    ATLAS_TRY(const uint32_t n_dense, keys.count_or("leading_dense_block_count", {0, kMaxLayers}, 0));
    for (uint32_t il = 0; il < n_layer; ++il) {
        ATLAS_TRY(LayerConfig layer, any_layer(keys, config.n_embd, n_head[il], n_head_kv[il]));
        layer.n_ff = n_ff[il];
        if (experts.n > 0 && il >= n_dense) layer.experts = experts;
        config.layers.push_back(layer);
    }
    config.attention_scale = config.norm_eps = 1;
    return config;
}

WeightRules plain_layer_weights(const ModelConfig&, const LayerConfig& layer) {
    return join_rules({attention_weights(),
                       {norm_weight(kFfnNorm)},
                       layer.experts.n > 0 ? expert_weights(layer) : gated_feed_forward_weights()});
}

// Stands in for architectures that this build does not know.
constexpr Architecture kAnyDecoder = {"", read_any_config, model_weights, plain_layer_weights};

const Architecture& architecture_of(std::string_view name) {
    const Architecture* known = architecture_named(name);
    return known != nullptr ? *known : kAnyDecoder;
}

}  // namespace

Result<ModelConfig> config_of_keys(const KeySource& keys) {
    return architecture_of(keys.architecture()).read_config(keys);
}

Result<ModelShape> shape_of_keys(KeyMap keys, std::string_view where) {
    ModelShape shape;
    shape.arch = keys.architecture();
    auto config = config_of_keys(keys);
    if (!config) return fail_in(where, std::move(config).error());
    shape.config = std::move(*config);
    shape.id = shape.config.name;
    shape.keys = std::move(keys);
    return shape;
}

bool ModelShape::has(Mixer mixer) const {
    return std::any_of(config.layers.begin(), config.layers.end(),
                       [&](const LayerConfig& layer) { return layer.mixer == mixer; });
}

ExpertsConfig ModelShape::experts() const {
    const auto found = std::find_if(config.layers.begin(), config.layers.end(),
                                    [](const LayerConfig& layer) { return layer.experts.n > 0; });
    return found == config.layers.end() ? ExpertsConfig() : found->experts;
}

uint32_t ModelShape::n_head() const { return largest(config, &LayerConfig::n_head); }
uint32_t ModelShape::n_head_kv() const { return largest(config, &LayerConfig::n_head_kv); }

uint64_t elems_of(const gguf::TensorInfo& tensor) {
    return std::accumulate(tensor.shape.begin(), tensor.shape.end(), uint64_t{1}, std::multiplies<>());
}

std::vector<gguf::TensorInfo> tensors_of(const ModelShape& model) {
    const WeightTable table = architecture_of(model.arch).weights(model.config);
    std::vector<gguf::TensorInfo> tensors;
    const auto add = [&](WeightRules rules, std::string_view prefix, const LayerConfig& layer) {
        std::erase_if(rules, [&](const WeightRule& rule) { return !is_there(model, rule); });
        for (const StoredTensor& stored : stored_tensors(rules, model.config, layer)) {
            gguf::TensorInfo& tensor = tensors.emplace_back();
            tensor.name = std::string(prefix) + stored.name;
            tensor.shape.assign(stored.dims.span().begin(), stored.dims.span().end());
        }
    };
    add(table.model, "", model.config.layers.front());
    for (uint32_t il = 0; il < model.n_layer(); ++il)
        add(table.layers[il], fmt::format("blk.{}.", il), model.config.layers[il]);
    return tensors;
}

bool has_key_bias(const ModelShape& model) {
    const WeightRules rules = architecture_of(model.arch).layer_weights(model.config, model.config.layers.front());
    return std::any_of(rules.begin(), rules.end(),
                       [&](const WeightRule& rule) { return rule.id == kAttnKBias && is_there(model, rule); });
}

uint64_t count_parameters(const ModelShape& model) {
    uint64_t sum = 0;
    for (const gguf::TensorInfo& tensor : tensors_of(model)) {
        if (tensor.name != kRopeFreqs.name) sum += elems_of(tensor);
    }
    return sum;
}

}  // namespace atlas
