// deepseek2: DeepSeek-V2 and V3, DeepSeek-Coder-V2, GLM-4.7-Flash. Latent attention, a first layer or more without
// experts. Planned, not run yet.

#include "runtime/model/common_weights.h"
#include "runtime/model/decoder_config.h"
#include "runtime/model/limits.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read_deepseek2(const KeySource& source) {
    const KeyReader keys(source);
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, RopeParams::Pairing::adjacent));
    LatentConfig latent;
    ATLAS_TRY(latent.kv_rank, keys.count("attention.kv_lora_rank", {1, kMaxWidth}));
    ATLAS_TRY(latent.q_rank, keys.count_or("attention.q_lora_rank", {0, kMaxWidth}, 0));
    // In newer files key_length is the cached width and key_length_mla the size of a head.
    ATLAS_TRY(const uint32_t k_dim,
              keys.count_or("attention.key_length_mla", {1, kMaxWidth}, config.layers[0].head_dim));
    ATLAS_TRY(const uint32_t v_dim,
              keys.count_or("attention.value_length_mla", {1, kMaxWidth}, config.layers[0].v_head_dim));
    ATLAS_TRY(latent.rope_dim, keys.count("rope.dimension_count", {1, k_dim - 1}));
    for (LayerConfig& layer : config.layers) {
        layer.mixer = Mixer::latent_attention;
        layer.latent = latent;
        layer.head_dim = k_dim;
        layer.v_head_dim = v_dim;
    }
    return config;
}

WeightRules layer_weights(const ModelConfig&, const LayerConfig& layer) {
    return join_rules({latent_attention_weights(layer),
                       {norm_weight(kFfnNorm)},
                       layer.experts.n > 0 ? expert_weights(layer) : gated_feed_forward_weights()});
}

}  // namespace

extern const Architecture kDeepseek2;
const Architecture kDeepseek2 = {"deepseek2", read_deepseek2, model_weights, layer_weights};

}  // namespace atlas
