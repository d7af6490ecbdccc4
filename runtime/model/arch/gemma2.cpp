// gemma2: Gemma 2. Norms before and after each block, GeGLU, capped scores and logits, a window in every second layer.

#include <cmath>

#include "runtime/model/common_weights.h"
#include "runtime/model/dense_decoder.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

constexpr uint32_t kLayersOfLargest = 46;  // whose scores have another scale

Result<ModelConfig> read_gemma2(const KeySource& source) {
    const KeyReader keys(source);
    ATLAS_TRY(ModelConfig config, read_decoder_config(source, runs(RopeParams::Pairing::halves)));
    const LayerConfig& first = config.layers.front();
    config.activation = Activation::gelu_tanh;
    config.embedding_scale = std::sqrt(float(config.n_embd));
    if (config.n_layer() == kLayersOfLargest)
        config.attention_scale = std::sqrt(float(first.n_head) / float(config.n_embd));
    ATLAS_TRY(config.attention_softcap, keys.number_or("attn_logit_softcapping", 0, 1e6f, 50));
    ATLAS_TRY(config.logit_softcap, keys.number_or("final_logit_softcapping", 0, 1e6f, 30));
    ATLAS_TRY_VOID(read_windows(keys, 2, config, 4096));
    ATLAS_TRY(const float base, keys.number_or("rope.freq_base_swa", 1.0001f, 1e12f, first.rope.rope_theta));
    for (LayerConfig& layer : config.layers) {
        if (layer.window > 0) layer.rope.rope_theta = base;
    }
    return config;
}

}  // namespace

extern const Architecture kGemma2;
const Architecture kGemma2 = {
    .name = "gemma2",
    .read_config = read_gemma2,
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules({attention_weights(),
                               {norm_weight(kAttnPostNorm), norm_weight(kFfnNorm), norm_weight(kFfnPostNorm)},
                               gated_feed_forward_weights(Scale::unused)});
        },
    .forward = forward_decoder_with_post_norms,
};

}  // namespace atlas
