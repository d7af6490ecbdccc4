#include "runtime/model/nemotron_decoder.h"

#include <algorithm>

#include "runtime/model/expert_parts.h"
#include "runtime/model/limits.h"
#include "runtime/model/mamba.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

// Layers whose feed-forward width is 0 have a mixer: attention where they have heads of keys.
Result<void> read_kinds(const KeyReader& keys, ModelConfig& config) {
    ATLAS_TRY(const StateSpaceConfig space, read_state_space(keys));
    ATLAS_TRY(const auto n_ff, keys.per_layer("feed_forward_length", config.n_layer(), {0, kMaxWidth}));
    for (uint32_t il = 0; il < config.n_layer(); ++il) {
        LayerConfig& layer = config.layers[il];
        layer.n_ff = n_ff[il];
        if (layer.n_ff > 0) {
            layer.mixer = Mixer::none;
        } else if (layer.n_head_kv == 0) {
            layer.mixer = Mixer::state_space;
            layer.state_space = space;
        }
        if (layer.n_ff == 0) layer.experts = {};
    }
    return {};
}

Result<void> read_widths(const KeyReader& keys, ModelConfig& config) {
    const uint32_t n = config.n_layer();
    constexpr std::string_view kWidth = "expert_feed_forward_length";
    ATLAS_TRY(const auto n_used, keys.per_layer("expert_used_count", n, {0, kMaxExperts}));
    std::vector<uint32_t> widths(n, 0);
    if (keys.has(kWidth)) {
        ATLAS_TRY(widths, keys.per_layer(kWidth, n, {0, kMaxWidth}));
    }
    ATLAS_TRY(const uint32_t n_latent, keys.count_or("moe_latent_size", {0, kMaxWidth}, 0));
    ATLAS_TRY(const uint32_t n_shared, keys.count_or("expert_shared_count", {0, kMaxExperts}, 1));
    ATLAS_TRY(const uint32_t shared, keys.count_or("expert_shared_feed_forward_length", {0, kMaxWidth}, 0));
    for (uint32_t il = 0; il < n; ++il) {
        LayerConfig& layer = config.layers[il];
        if (layer.experts.n == 0) continue;
        if (n_used[il] == 0 || n_used[il] > layer.experts.n) {
            return fail(ErrorCode::corrupt, "{}: expected 1 .. {} in layer {}, found {}",
                        keys.full("expert_used_count"), layer.experts.n, il, n_used[il]);
        }
        layer.experts.routing.n_used = n_used[il];
        layer.experts.n_ff = widths[il] > 0 ? widths[il] : std::max(1u, layer.n_ff / n_used[il]);
        layer.experts.n_ff_shared = shared > 0 ? shared : n_shared * layer.experts.n_ff;
        layer.experts.n_latent = n_latent;
    }
    return {};
}

}  // namespace

Result<ModelConfig> read_nemotron(const KeySource& source) {
    const KeyReader keys(source);
    DecoderTraits traits = runs(RopeParams::Pairing::halves);
    if (!keys.has(traits.norm_eps_key)) traits.norm_eps_key = "attention.layer_norm_epsilon";
    traits.layers_differ = traits.attention_in_some = true;
    traits.experts = {
        .gating = RoutingParams::Gating::sigmoid, .reads_norm = true, .reads_scale = true, .per_layer = true};
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, traits));
    ATLAS_TRY_VOID(split_draft_layers(keys, config));
    config.activation = Activation::relu_squared;
    ATLAS_TRY_VOID(read_kinds(keys, config));
    const bool has_experts =
        std::any_of(config.layers.begin(), config.layers.end(), [](L l) { return l.experts.n > 0; });
    if (has_experts) ATLAS_TRY_VOID(read_widths(keys, config));
    remove_ropes(config, [](uint32_t, L) { return true; });
    return config;
}

// There is no rope.
WeightRules nemotron_model_weights(M config) {
    WeightRules rules = model_weights(config);
    std::erase_if(rules, [](const WeightRule& rule) { return rule.id == kRopeFreqs; });
    return rules;
}

WeightRules nemotron_layer_weights(M, L layer) {
    if (layer.mixer == Mixer::state_space) return state_space_weights();
    if (layer.mixer == Mixer::attention) return attention_weights();
    WeightRules rules{norm_weight(kAttnNorm)};
    if (layer.experts.n == 0) {
        WeightRules plain = plain_feed_forward_weights();
        for (WeightRule& rule : plain)
            if (rule.id == kFfnUpBias || rule.id == kFfnDownBias) rule.need = Need::optional;
        return join_rules({rules, plain});
    }
    rules = join_rules({rules, expert_weights(layer, Scale::unused), expert_scales()});
    std::erase_if(rules, [](const WeightRule& rule) {
        return rule.id == kFfnGateExps || rule.id == kFfnGateShared || rule.id == kFfnGateExpsScale;
    });
    rules.push_back({kExpProbsBias, Need::required, [](M, L l) { return Dims{l.experts.n}; }});
    if (layer.experts.n_latent == 0) return rules;
    rules.push_back({kLatentDown, Need::required, [](M m, L l) { return Dims{l.experts.n_latent, m.n_embd}; }});
    rules.push_back({kLatentUp, Need::required, [](M m, L l) { return Dims{m.n_embd, l.experts.n_latent}; }});
    return rules;
}

void forward_nemotron(const ForwardInputs& in, Ops& ops) {
    constexpr Block kBlock = [](const Layer& layer, const Tensor& h, const Tensor& out, Ops& recorder) {
        if (layer.config.mixer != Mixer::none) return state_space_or_attention(layer, h, out, recorder);
        if (layer.wants_output()) expert_feed_forward(layer, h, out, recorder);
    };
    forward_decoder(in, ops, {.mixer = kBlock, .feed_forward = nullptr});
}

}  // namespace atlas
