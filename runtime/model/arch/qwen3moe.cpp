// qwen3moe: Qwen3-30B-A3B, Qwen3-Coder. The attention of qwen3 and experts.

#include "runtime/model/dense_decoder.h"
#include "runtime/model/expert_parts.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read_qwen3moe(const KeySource& keys) {
    DecoderTraits traits = RopeParams::Pairing::halves;
    traits.experts = {.normalized = true, .has_shared = false};
    return read_expert_decoder(keys, traits);
}

WeightRules layer_weights(const ModelConfig&, const LayerConfig& layer) {
    return join_rules({attention_weights(),
                       head_norm_weights(),
                       {norm_weight(kFfnNorm)},
                       expert_or_dense_weights(layer),
                       layer.experts.n > 0 ? expert_scales() : WeightRules()});
}

}  // namespace

extern const Architecture kQwen3Moe;
const Architecture kQwen3Moe = {
    .name = "qwen3moe",
    .read_config = read_qwen3moe,
    .model_weights = model_weights,
    .layer_weights = layer_weights,
    .forward = forward_expert_decoder,
};

}  // namespace atlas
