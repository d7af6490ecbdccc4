// mistral3: Ministral 3, Devstral Small 2, Mistral Small 3.2. The block of llama; queries may grow with their position.
// Not yet: its mixtures of experts.

#include "runtime/model/decoder_parts.h"
#include "runtime/model/dense_decoder.h"
#include "runtime/model/limits.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read_mistral3(const KeySource& source) {
    const KeyReader keys(source);
    DecoderTraits traits = runs(RopeParams::Pairing::adjacent);
    traits.yarn_keys = true;
    ATLAS_TRY(ModelConfig config, read_decoder_config(source, traits));
    QueryTemperature& temperature = config.query_temperature;
    ATLAS_TRY(temperature.beta, keys.number_or("attention.temperature_scale", 0, 1e6f, 0));
    ATLAS_TRY(temperature.n_ctx, keys.count_or("rope.scaling.original_context_length", {0, kMaxContext}, 0));
    if (temperature.n_ctx == 0) temperature.n_ctx = config.n_ctx_train;
    if (temperature.beta == 0) temperature = {};
    return config;
}

}  // namespace

extern const Architecture kMistral3;
const Architecture kMistral3 = {
    .name = "mistral3",
    .read_config = read_mistral3,
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules({attention_weights(), {norm_weight(kFfnNorm)}, gated_feed_forward_weights()});
        },
    .forward = forward_dense_decoder,
};

}  // namespace atlas
