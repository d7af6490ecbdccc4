#include "runtime/model/decoder_config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/model/limits.h"

namespace atlas {

namespace {

constexpr uint32_t kMaxRunnableHeadDim = 512;  // what the attention kernels keep in registers

Result<uint32_t> in_range(std::string_view name, int64_t found, KeyRange range) {
    if (found < range.low || found > range.high) {
        return fail(ErrorCode::corrupt, "{}: expected {} .. {}, found {}", name, range.low, range.high, found);
    }
    return static_cast<uint32_t>(found);
}

}  // namespace

Result<uint32_t> KeyReader::count(std::string_view key, KeyRange range) const {
    const std::string name = full(key);
    ATLAS_TRY(const std::vector<int64_t> values, keys_.integers(key));
    if (values.empty()) return fail(ErrorCode::corrupt, "{}: expected a number, found an empty array", name);
    for (size_t i = 1; i < values.size(); ++i) {
        if (values[i] == values[0]) continue;
        return fail(ErrorCode::unsupported,
                    "{}: layers that differ are not supported (found {} in layer 0, {} in layer {})", name, values[0],
                    values[i], i);
    }
    return in_range(name, values[0], range);
}

Result<uint32_t> KeyReader::count_or(std::string_view key, KeyRange range, uint32_t fallback) const {
    if (!has(key)) return fallback;
    return count(key, range);
}

Result<std::vector<uint32_t>> KeyReader::per_layer(std::string_view key, uint32_t n_layer, KeyRange range) const {
    ATLAS_TRY(const std::vector<int64_t> values, keys_.integers(key));
    if (values.size() != 1 && values.size() < n_layer) {
        return fail(ErrorCode::corrupt, "{}: expected one number or {} (one per layer), found {}", full(key), n_layer,
                    values.size());
    }
    std::vector<uint32_t> counts;
    for (uint32_t il = 0; il < n_layer; ++il) {
        ATLAS_TRY(const uint32_t found, in_range(full(key), values[values.size() == 1 ? 0 : il], range));
        counts.push_back(found);
    }
    return counts;
}

Result<bool> KeyReader::is_list(std::string_view key) const {
    return keys_.integers(key).map([](const std::vector<int64_t>& values) { return values.size() != 1; });
}

Result<float> KeyReader::number(std::string_view key, float low, float high) const {
    ATLAS_TRY(const float found, keys_.number(key));
    if (!(found >= low && found <= high)) {
        return fail(ErrorCode::corrupt, "{}: expected a number in {} .. {}, found {}", full(key), low, high, found);
    }
    return found;
}

Result<float> KeyReader::number_or(std::string_view key, float low, float high, float fallback) const {
    if (!has(key)) return fallback;
    return number(key, low, high);
}

Result<std::string> KeyReader::text_or(std::string_view key, std::string_view fallback) const {
    if (!has(key)) return std::string(fallback);
    return keys_.text(key);
}

namespace {

// Layer `il`, which all layers are unless they may differ.
Result<LayerConfig> read_layer(const KeyReader& keys, const ModelConfig& config, uint32_t il,
                               const DecoderTraits& traits, bool has_experts) {
    const auto number = [&](std::string_view key, KeyRange range) -> Result<uint32_t> {
        if (!traits.layers_differ) return keys.count(key, range);
        return keys.per_layer(key, il + 1, range).map([&](const std::vector<uint32_t>& all) { return all[il]; });
    };
    LayerConfig layer;
    if (!has_experts || keys.has("feed_forward_length")) {
        ATLAS_TRY(layer.n_ff,
                  number("feed_forward_length", {has_experts || traits.attention_in_some ? 0u : 1u, kMaxWidth}));
    }
    ATLAS_TRY(layer.n_head, number("attention.head_count", {1, kMaxHeads}));
    layer.n_head_kv = layer.n_head;
    if (keys.has("attention.head_count_kv")) {
        ATLAS_TRY(layer.n_head_kv, number("attention.head_count_kv", {traits.attention_in_some ? 0u : 1u, kMaxHeads}));
    }
    if (layer.n_head_kv > 0) {
        ATLAS_TRY_VOID(
            check_head_counts(keys.full("attention."), layer.n_head, layer.n_head_kv).map([](const HeadCounts&) {}));
    }
    if (!keys.has("attention.key_length") && config.n_embd % layer.n_head != 0) {
        return fail(ErrorCode::corrupt, "{}: expected a divisor of {} ({}), found {}",
                    keys.full("attention.head_count"), config.n_embd, keys.full("embedding_length"), layer.n_head);
    }
    constexpr KeyRange kHeadDims{1, kMaxWidth};
    ATLAS_TRY(layer.head_dim, keys.count_or("attention.key_length", kHeadDims, config.n_embd / layer.n_head));
    ATLAS_TRY(layer.v_head_dim, keys.count_or("attention.value_length", kHeadDims, layer.head_dim));
    return layer;
}

// YaRN (arXiv:2309.00071). Only some architectures read its keys.
Result<void> read_yarn(const KeyReader& keys, bool has_keys, uint32_t n_ctx_train, RopeParams& rope) {
    constexpr float kMost = 1e6f;
    rope.ext_factor = 1;
    ATLAS_TRY(rope.n_ctx_orig, keys.count_or("rope.scaling.original_context_length", {0, kMaxContext}, 0));
    if (rope.n_ctx_orig == 0) rope.n_ctx_orig = n_ctx_train;
    if (!has_keys) return {};
    ATLAS_TRY(rope.beta_fast, keys.number_or("rope.scaling.yarn_beta_fast", 1e-3f, kMost, 32));
    ATLAS_TRY(rope.beta_slow, keys.number_or("rope.scaling.yarn_beta_slow", 1e-3f, kMost, 1));
    ATLAS_TRY(const float log_multiplier, keys.number_or("rope.scaling.yarn_log_multiplier", -kMost, kMost, 0));
    const float divisor = 1 - 0.1f * log_multiplier * std::log(rope.freq_scale);
    if (!(divisor > 0)) {
        return fail(ErrorCode::corrupt, "{}: expected a positive magnitude, found {}",
                    keys.full("rope.scaling.yarn_log_multiplier"), log_multiplier);
    }
    rope.attn_factor /= divisor;
    return {};
}

// Rope scaling: "linear" divides positions, "yarn" mixes, "longrope" adds the tensors rope_factors_*. Llama 3's own
// scaling comes as the tensor rope_freqs.weight and needs no key.
Result<void> read_rope_scaling(const KeyReader& keys, const DecoderTraits& traits, uint32_t n_ctx_train,
                               RopeParams& rope) {
    constexpr float kMaxFactor = 1e6f;
    ATLAS_TRY(const float old_factor, keys.number_or("rope.scale_linear", 0, kMaxFactor, 0));
    ATLAS_TRY(float factor, keys.number_or("rope.scaling.factor", 0, kMaxFactor, old_factor));
    if (factor == 0) factor = 1;  // writers put 0 for "not scaled"
    ATLAS_TRY(const std::string type, keys.text_or("rope.scaling.type", "linear"));
    ATLAS_TRY(rope.attn_factor, keys.number_or("rope.scaling.attn_factor", 0, kMaxFactor, 1));
    if (rope.attn_factor == 0) rope.attn_factor = 1;
    if (type == "none") return {};
    if (type != "linear" && type != "yarn" && type != "longrope") {
        return fail(ErrorCode::unsupported, "{}: '{}' is not supported (known: none, linear, yarn, longrope)",
                    keys.full("rope.scaling.type"), type);
    }
    rope.freq_scale = 1 / factor;
    if (type == "yarn") return read_yarn(keys, traits.yarn_keys, n_ctx_train, rope);
    return {};
}

Result<RopeParams> read_rope(const KeyReader& keys, const DecoderTraits& traits, uint32_t head_dim,
                             uint32_t n_ctx_train) {
    RopeParams rope;
    rope.pairing = traits.pairing;
    rope.head_dim = head_dim;
    ATLAS_TRY(rope.n_rot, keys.count_or("rope.dimension_count", {2, head_dim}, head_dim));
    if (rope.n_rot % 2 != 0) {
        return fail(ErrorCode::corrupt, "{}: expected an even number, found {}", keys.full("rope.dimension_count"),
                    rope.n_rot);
    }
    ATLAS_TRY(rope.rope_theta, keys.number_or("rope.freq_base", 1.0001f, 1e12f, 10000.0f));
    ATLAS_TRY_VOID(read_rope_scaling(keys, traits, n_ctx_train, rope));
    return rope;
}

}  // namespace

Result<void> check_heads(const KeyReader& keys, const LayerConfig& layer) {
    if (layer.head_dim > kMaxRunnableHeadDim || layer.head_dim % kAttentionHeadMultiple != 0) {
        return fail(ErrorCode::unsupported, "{}: supported are multiples of {} up to {}, found {}",
                    keys.full("attention.key_length"), kAttentionHeadMultiple, kMaxRunnableHeadDim, layer.head_dim);
    }
    if (layer.v_head_dim != layer.head_dim) {
        return fail(ErrorCode::unsupported, "{}: expected {} as for keys, found {}",
                    keys.full("attention.value_length"), layer.head_dim, layer.v_head_dim);
    }
    return {};
}

namespace {

Result<ModelConfig> read_config(const KeySource& source, const DecoderTraits& traits, bool has_experts) {
    const KeyReader keys(source);
    ModelConfig config;
    config.architecture = source.architecture();
    config.name = source.name();
    ATLAS_TRY(const uint32_t n_layer, keys.count("block_count", {1, kMaxLayers}));
    ATLAS_TRY(config.n_embd, keys.count("embedding_length", {1, kMaxWidth}));
    ATLAS_TRY(config.n_ctx_train, keys.count("context_length", {1, kMaxContext}));
    ATLAS_TRY(LayerConfig layer, read_layer(keys, config, 0, traits, has_experts));
    if (traits.runs && !traits.latent) ATLAS_TRY_VOID(check_heads(keys, layer));
    if (!source.flag_or("attention.causal", true)) {
        return fail(ErrorCode::unsupported, "{}: expected true, found false (an embedding model, not a text generator)",
                    keys.full("attention.causal"));
    }
    ATLAS_TRY(config.norm_eps, keys.number(traits.norm_eps_key, 0.0f, 1.0f));
    config.norm = traits.norm;
    config.attention_scale = 1 / std::sqrt(static_cast<float>(layer.head_dim));
    ATLAS_TRY(layer.rope, read_rope(keys, traits, layer.head_dim, config.n_ctx_train));
    ATLAS_TRY(config.n_vocab, source.n_vocab());
    config.layers.assign(n_layer, layer);
    for (uint32_t il = 1; traits.layers_differ && il < n_layer; ++il) {
        ATLAS_TRY(config.layers[il], read_layer(keys, config, il, traits, has_experts));
        config.layers[il].rope = layer.rope;
    }
    return config;
}

}  // namespace

namespace {

Result<RoutingParams> read_routing(const KeyReader& keys, uint32_t n_experts, const ExpertTraits& traits) {
    RoutingParams routing{.gating = traits.gating, .normalized = traits.normalized};
    ATLAS_TRY(const auto n_used, keys.per_layer("expert_used_count", 1, {0, n_experts}));
    routing.n_used = n_used[0];
    if (!traits.per_layer) {
        ATLAS_TRY(routing.n_used, keys.count("expert_used_count", {1, n_experts}));
    }
    ATLAS_TRY(routing.n_groups, keys.count_or("expert_group_count", {0, n_experts}, 0));
    ATLAS_TRY(routing.n_groups_used, keys.count_or("expert_group_used_count", {0, n_experts}, 0));
    if (routing.n_groups <= 1) routing.n_groups = routing.n_groups_used = 1;
    const uint32_t in_groups = routing.n_groups_used * (n_experts / routing.n_groups);
    if (n_experts % routing.n_groups != 0 || routing.n_groups_used > routing.n_groups || routing.n_used > in_groups) {
        return fail(ErrorCode::corrupt, "{}: {} of {} groups of {} experts, {} used", keys.full("expert_group_count"),
                    routing.n_groups_used, routing.n_groups, n_experts, routing.n_used);
    }
    if (traits.reads_gating) {
        using Gating = RoutingParams::Gating;
        constexpr std::array kGatings = {Gating::softmax, Gating::sigmoid, Gating::softmax_of_used,
                                         Gating::sqrt_softplus};
        ATLAS_TRY(const uint32_t number, keys.count_or("expert_gating_func", {0, kGatings.size()}, 0));
        if (number > 0) routing.gating = kGatings.at(number - 1);
    }
    if (traits.reads_norm) routing.normalized = keys.flag_or("expert_weights_norm", traits.normalized);
    if (!traits.reads_scale) return routing;
    ATLAS_TRY(const float scale, keys.number_or("expert_weights_scale", 0, 1e6f, 0));
    if (scale != 0) routing.scale = scale;
    return routing;
}

// What the kernels of this build can compute.
Result<void> check_expert_kernels(const KeyReader& keys, const ExpertsConfig& experts) {
    constexpr uint32_t kMostRunnable = 512, kMostUsed = 32;
    if (experts.n <= kMostRunnable && experts.routing.n_used <= kMostUsed) return {};
    return fail(ErrorCode::unsupported, "{}: supported are up to {} of which {} are used, found {} and {}",
                keys.full("expert_count"), kMostRunnable, kMostUsed, experts.n, experts.routing.n_used);
}

}  // namespace

Result<ExpertsConfig> read_experts(const KeyReader& keys, const ExpertTraits& traits) {
    ExpertsConfig experts;
    ATLAS_TRY(experts.n, keys.count_or("expert_count", {0, kMaxExperts}, 0));
    if (experts.n == 0) return experts;
    ATLAS_TRY(experts.routing, read_routing(keys, experts.n, traits));
    if (traits.per_layer) return experts;
    if (traits.own_width && keys.has("expert_feed_forward_length")) {
        ATLAS_TRY(experts.n_ff, keys.count("expert_feed_forward_length", {1, kMaxWidth}));
    } else {
        ATLAS_TRY(experts.n_ff, keys.count("feed_forward_length", {1, kMaxWidth}));
        if (traits.own_width) experts.n_ff = std::max(1u, experts.n_ff / experts.routing.n_used);
    }
    if (!traits.has_shared) return experts;
    ATLAS_TRY(const uint32_t n_shared, keys.count_or("expert_shared_count", {0, kMaxExperts}, 0));
    const auto all_shared = static_cast<uint32_t>(std::min<uint64_t>(uint64_t{n_shared} * experts.n_ff, kMaxWidth));
    ATLAS_TRY(experts.n_ff_shared, keys.count_or("expert_shared_feed_forward_length", {0, kMaxWidth}, all_shared));
    return experts;
}

Result<ModelConfig> read_decoder_config(const KeySource& source, const DecoderTraits& traits) {
    const KeyReader keys(source);
    ATLAS_TRY(const uint32_t n_expert, keys.count_or("expert_count", {0, kMaxExperts}, 0));
    if (n_expert > 0) {
        return fail(ErrorCode::unsupported, "{}: {} models with experts are not known, found {} experts",
                    keys.full("expert_count"), source.architecture(), n_expert);
    }
    return read_config(source, traits, false);
}

Result<ModelConfig> read_expert_decoder_config(const KeySource& source, const DecoderTraits& traits) {
    const KeyReader keys(source);
    ATLAS_TRY(const ExpertsConfig experts, read_experts(keys, traits.experts));
    ATLAS_TRY(ModelConfig config, read_config(source, traits, experts.n > 0));
    if (experts.n == 0) return config;
    if (traits.runs) ATLAS_TRY_VOID(check_expert_kernels(keys, experts));
    ATLAS_TRY(const uint32_t n_dense, keys.count_or("leading_dense_block_count", {0, config.n_layer()}, 0));
    for (uint32_t il = n_dense; il < config.n_layer(); ++il) {
        config.layers[il].experts = experts;
        config.layers[il].n_ff = 0;
    }
    if (n_dense > 0 && config.layers.front().n_ff == 0) {
        return fail(ErrorCode::corrupt, "{}: expected at least 1 for the {} layers without experts, found 0",
                    keys.full("feed_forward_length"), n_dense);
    }
    return config;
}

Result<void> split_draft_layers(const KeyReader& keys, ModelConfig& config) {
    ATLAS_TRY(config.n_draft_layers, keys.count_or("nextn_predict_layers", {0, config.n_layer() - 1}, 0));
    config.layers.resize(config.n_layer() - config.n_draft_layers);
    return {};
}

Result<void> read_windows(const KeyReader& keys, uint32_t default_period, ModelConfig& config, uint32_t default_window,
                          FullLayer full) {
    ATLAS_TRY(const uint32_t window, keys.count_or("attention.sliding_window", {0, kMaxContext}, default_window));
    if (window == 0) return {};
    constexpr std::string_view kPattern = "attention.sliding_window_pattern";
    uint32_t period = default_period;
    std::vector<uint32_t> flags;  // of the layers; empty: the period counts
    if (keys.has(kPattern)) {
        ATLAS_TRY(const bool is_list, keys.is_list(kPattern));
        ATLAS_TRY(flags, keys.per_layer(kPattern, config.n_layer(), {0, is_list ? 1 : kMaxLayers}));
        if (!is_list) {
            period = flags.front();
            flags.clear();
        }
    }
    for (uint32_t il = 0; il < config.n_layer(); ++il) {
        const bool is_full = period > 0 && il % period == (full == FullLayer::first ? 0 : period - 1);
        if (flags.empty() ? !is_full : flags[il] != 0) config.layers[il].window = window;
    }
    return {};
}

Result<void> read_window_ropes(const KeyReader& keys, float default_base, ModelConfig& config) {
    ATLAS_TRY(const float base, keys.number_or("rope.freq_base_swa", 1.0001f, 1e12f, default_base));
    for (LayerConfig& layer : config.layers) {
        if (layer.window == 0) continue;
        layer.rope.rope_theta = base;
        layer.rope.freq_scale = 1;
        layer.rope.ext_factor = 0;
    }
    return {};
}

void remove_ropes(ModelConfig& config, bool (*has_none)(uint32_t il, const LayerConfig& layer)) {
    for (uint32_t il = 0; il < config.n_layer(); ++il) {
        if (has_none(il, config.layers[il])) config.layers[il].rope.n_rot = 0;
    }
}

}  // namespace atlas
