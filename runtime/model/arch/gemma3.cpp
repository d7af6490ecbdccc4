// gemma3: Gemma 3. Norms before and after each block and of every head, GeGLU, a window in five of six layers, where
// rope has a base of its own.

#include <cmath>

#include "runtime/model/common_weights.h"
#include "runtime/model/dense_decoder.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

constexpr uint32_t kLayersOfLargest = 62;  // whose scores have another scale
constexpr float kWindowBase = 10000;       // of rope, where the file has no other

Result<ModelConfig> read_gemma3(const KeySource& source) {
    const KeyReader keys(source);
    ATLAS_TRY(ModelConfig config, read_decoder_config(source, runs(RopeParams::Pairing::halves)));
    config.activation = Activation::gelu_tanh;
    config.embedding_scale = std::sqrt(float(config.n_embd));
    if (config.n_layer() == kLayersOfLargest)
        config.attention_scale = std::sqrt(float(config.layers[0].n_head) / float(config.n_embd));
    ATLAS_TRY(config.logit_softcap, keys.number_or("final_logit_softcapping", 0, 1e6f, 0));
    ATLAS_TRY_VOID(read_windows(keys, 6, config));
    ATLAS_TRY_VOID(read_window_ropes(keys, kWindowBase, config));
    return config;
}

}  // namespace

extern const Architecture kGemma3;
const Architecture kGemma3 = {
    .name = "gemma3",
    .read_config = read_gemma3,
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules({attention_weights(),
                               head_norm_weights(),
                               {norm_weight(kAttnPostNorm), norm_weight(kFfnNorm), norm_weight(kFfnPostNorm)},
                               gated_feed_forward_weights(Scale::unused)});
        },
    .forward = forward_decoder_with_post_norms,
};

}  // namespace atlas
