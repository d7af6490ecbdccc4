// gemma4: Gemma 4, dense, with experts (26B-A4B) or with an embedding per layer (E2B, E4B). Norms before and after each
// block and of every head, GeGLU, a window in five of six layers, whose heads have another size.

#include <cmath>

#include "runtime/model/gemma4_decoder.h"
#include "runtime/model/limits.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read_gemma4(const KeySource& source) {
    const KeyReader keys(source);
    DecoderTraits traits = runs(RopeParams::Pairing::halves);
    traits.layers_differ = true;
    traits.experts = {.normalized = true, .has_shared = false};
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, traits));
    config.activation = Activation::gelu_tanh;
    config.attention_scale = 1;
    config.embedding_scale = std::sqrt(float(config.n_embd));
    ATLAS_TRY(config.logit_softcap, keys.number_or("final_logit_softcapping", 0, 1e6f, 30));
    ATLAS_TRY(config.n_per_layer,
              keys.count_or("embedding_length_per_layer_input", {0, kMaxWidth / config.n_layer()}, 0));
    config.per_layer_width = config.n_per_layer * config.n_layer();
    ATLAS_TRY(const auto n_ff, keys.per_layer("feed_forward_length", config.n_layer(), {1, kMaxWidth}));
    for (uint32_t il = 0; il < config.n_layer(); ++il) config.layers[il].n_ff = n_ff[il];  // beside experts, too
    ATLAS_TRY_VOID(read_windows(keys, 6, config));
    ATLAS_TRY_VOID(read_gemma4_layers(keys, config));
    return config;
}

}  // namespace

extern const Architecture kGemma4;
const Architecture kGemma4 = {
    .name = "gemma4",
    .read_config = read_gemma4,
    .model_weights = gemma4_model_weights,
    .layer_weights = gemma4_layer_weights,
    .forward = forward_gemma4,
};

}  // namespace atlas
