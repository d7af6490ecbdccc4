// llama: Llama 1 to 3.x, Mistral, Mixtral, SmolLM2, DeepSeek-R1-Distill-Llama and many others that were converted to
// its names. Files store the query and key matrices permuted so that rope rotates adjacent pairs.

#include "runtime/model/dense_decoder.h"
#include "runtime/model/expert_parts.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

// Experts are as wide as feed_forward_length, and the keys that other families have for them count for nothing.
Result<ModelConfig> read_llama(const KeySource& keys) {
    DecoderTraits traits = RopeParams::Pairing::adjacent;
    traits.experts = {.normalized = true, .own_width = false, .has_shared = false};
    return read_expert_decoder(keys, traits);
}

WeightRules layer_weights(const ModelConfig&, const LayerConfig& layer) {
    return join_rules({attention_weights(),
                       {norm_weight(kFfnNorm)},
                       expert_or_dense_weights(layer),
                       layer.experts.n > 0 ? expert_scales() : WeightRules()});
}

}  // namespace

extern const Architecture kLlama;
const Architecture kLlama = {
    .name = "llama",
    .read_config = read_llama,
    .model_weights = model_weights,
    .layer_weights = layer_weights,
    .forward = forward_expert_decoder,
};

}  // namespace atlas
