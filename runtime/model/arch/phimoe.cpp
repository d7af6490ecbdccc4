// phimoe: Phi-3.5-MoE. RMS norms with biases, rope with factors as phi3, experts in every layer.

#include "runtime/model/expert_parts.h"
#include "runtime/model/long_rope.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read_phimoe(const KeySource& source) {
    DecoderTraits traits = runs(RopeParams::Pairing::halves);
    traits.experts = {.normalized = true, .own_width = false, .has_shared = false};
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, traits));
    ATLAS_TRY_VOID(read_long_rope(KeyReader(source), config));
    return config;
}

WeightRules phimoe_model_weights(const ModelConfig& config) {
    WeightRules rules = long_rope_model_weights(config);
    for (WeightRule& rule : rules) {
        if (rule.id == kOutputBias) rule.need = Need::required;
    }
    rules.push_back(norm_weight(kOutputNormBias));
    return rules;
}

}  // namespace

extern const Architecture kPhiMoe;
const Architecture kPhiMoe = {
    .name = "phimoe",
    .read_config = read_phimoe,
    .model_weights = phimoe_model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig& layer) {
            return join_rules({attention_weights(Need::usual, Need::required),
                               {norm_weight(kAttnNormBias), norm_weight(kFfnNorm), norm_weight(kFfnNormBias)},
                               expert_weights(layer)});
        },
    .forward = forward_expert_decoder,
};

}  // namespace atlas
