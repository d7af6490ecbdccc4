// deepseek2: DeepSeek-V2 and V3, DeepSeek-Coder-V2, GLM-4.7-Flash. Latent attention, a first layer or more without
// experts. Not yet: files whose attn_kv_b is in one piece.

#include <array>
#include <cmath>

#include "runtime/model/decoder_config.h"
#include "runtime/model/expert_parts.h"
#include "runtime/model/latent_parts.h"
#include "runtime/model/limits.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

// YaRN's magnitude is also part of the scale of scores; sine and cosine have it as the file says.
Result<void> read_magnitude(const KeyReader& keys, ModelConfig& config) {
    ATLAS_TRY(const float stored, keys.number_or("rope.scaling.yarn_log_multiplier", -1e6f, 1e6f, 0));
    RopeParams& rope = config.layers.front().rope;
    const bool yarn = rope.ext_factor != 0;
    const float log_factor = yarn ? -std::log(rope.freq_scale) : 0, of_rope = 1 + 0.1f * log_factor;
    if (stored != 0) rope.attn_factor /= of_rope;  // the rope multiplies with it
    const float magnitude = rope.attn_factor * of_rope * (1 + stored * log_factor);
    config.attention_scale = magnitude * magnitude / std::sqrt(float(config.layers.front().head_dim));
    return {};
}

Result<void> check_runs(const KeyReader& keys, const LayerConfig& layer) {
    const uint32_t rank = layer.latent.kv_rank, rope = layer.latent.rope_dim;
    if (rank % kAttentionHeadMultiple == 0 && rope % kAttentionHeadMultiple == 0 &&
        rank + rope <= kLargestAttentionHead)
        return {};
    return fail(ErrorCode::unsupported, "{} and {}: supported are multiples of {}, together up to {}, found {} and {}",
                keys.full("attention.kv_lora_rank"), keys.full("rope.dimension_count"), kAttentionHeadMultiple,
                kLargestAttentionHead, rank, rope);
}

Result<ModelConfig> read_deepseek2(const KeySource& source) {
    using Gating = RoutingParams::Gating;
    const KeyReader keys(source);
    ATLAS_TRY(const uint32_t n_draft, keys.count_or("nextn_predict_layers", {0, kMaxLayers}, 0));
    ATLAS_TRY(const uint32_t n_blocks, keys.count("block_count", {1, kMaxLayers}));
    ATLAS_TRY(const uint32_t n_vocab, source.n_vocab());
    const uint32_t n_layer = n_blocks - std::min(n_blocks, n_draft);
    // What no key says: the models of these depths and vocabularies are GLM-4.7-Flash, and those without a latent of
    // queries.
    const bool is_glm = (n_layer == 47 || n_layer == 48) && n_vocab == 154880;
    const bool is_lite = n_layer == 26 || n_layer == 27 || (n_layer == 48 && n_vocab == 128256);
    DecoderTraits traits = runs(RopeParams::Pairing::adjacent);
    traits.latent = true;
    traits.experts = {.gating = is_glm ? Gating::sigmoid : Gating::softmax,
                      .reads_gating = true,
                      .reads_norm = true,
                      .reads_scale = true};
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, traits));
    LayerConfig& first = config.layers.front();
    first.mixer = Mixer::latent_attention;
    ATLAS_TRY(first.latent.kv_rank, keys.count("attention.kv_lora_rank", {1, kMaxWidth}));
    if (!is_lite) {
        ATLAS_TRY(first.latent.q_rank, keys.count("attention.q_lora_rank", {1, kMaxWidth}));
    }
    // In newer files key_length is the cached width and key_length_mla the size of a head.
    ATLAS_TRY(first.head_dim, keys.count_or("attention.key_length_mla", {2, kMaxWidth}, first.head_dim));
    ATLAS_TRY(first.v_head_dim, keys.count_or("attention.value_length_mla", {1, kMaxWidth}, first.v_head_dim));
    ATLAS_TRY(first.latent.rope_dim, keys.count("rope.dimension_count", {1, first.head_dim - 1}));
    ATLAS_TRY_VOID(check_runs(keys, first));
    ATLAS_TRY_VOID(read_magnitude(keys, config));
    QueryTemperature& temperature = config.query_temperature;
    ATLAS_TRY(temperature.beta, keys.number_or("attention.temperature_scale", 0, 1e6f, 0));
    if (temperature.beta != 0) {
        ATLAS_TRY(temperature.n_ctx, keys.count("attention.temperature_length", {1, kMaxContext}));
    }
    for (LayerConfig& layer : config.layers) {
        layer.mixer = first.mixer;
        layer.latent = first.latent;
        layer.rope = first.rope;
        layer.head_dim = first.head_dim;
        layer.v_head_dim = first.v_head_dim;
    }
    ATLAS_TRY_VOID(split_draft_layers(keys, config));
    return config;
}

WeightRules layer_weights(const ModelConfig&, const LayerConfig& layer) {
    WeightRules rules = join_rules(
        {latent_attention_weights(layer), {norm_weight(kFfnNorm)}, expert_or_dense_weights(layer, Scale::unused)});
    if (layer.experts.n > 0) {
        rules.push_back({kExpProbsBias, Need::optional,
                         [](const ModelConfig&, const LayerConfig& l) { return Dims{l.experts.n}; }});
    }
    return rules;
}

constexpr auto kIgnorable = std::to_array<std::string_view>({"_exps.scale", "_shexp.scale", "ffn_gate_inp.scale"});

}  // namespace

extern const Architecture kDeepseek2;
const Architecture kDeepseek2 = {
    .name = "deepseek2",
    .read_config = read_deepseek2,
    .model_weights = model_weights,
    .layer_weights = layer_weights,
    .ignorable = kIgnorable,
    .forward =
        [](const ForwardInputs& in, Ops& ops) {
            forward_decoder(in, ops, {.mixer = latent_attention, .feed_forward = expert_feed_forward});
        },
};

}  // namespace atlas
