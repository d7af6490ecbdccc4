// starcoder (also Granite Code 34B) and starcoder2: layer norms with biases, a feed-forward block without a gate.
// starcoder has learned positions and usually one matrix of q, k and v.

#include "runtime/model/decoder_config.h"
#include "runtime/model/decoder_parts.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

Result<ModelConfig> read_starcoder2(const KeySource& keys) {
    ATLAS_TRY(ModelConfig config, read_decoder_config(keys, runs_with_layer_norms(RopeParams::Pairing::halves)));
    config.activation = Activation::gelu_tanh;
    return config;
}

Result<ModelConfig> read_starcoder(const KeySource& keys) {
    ATLAS_TRY(ModelConfig config, read_starcoder2(keys));
    remove_ropes(config, [](uint32_t, L) { return true; });
    return config;
}

WeightRules starcoder2_model_weights(M m) { return join_rules({model_weights(m), {norm_weight(kOutputNormBias)}}); }

WeightRules starcoder_model_weights(M config) {
    WeightRules rules = starcoder2_model_weights(config);
    std::erase_if(rules, [](const WeightRule& rule) { return rule.id == kRopeFreqs; });
    rules.push_back({kPositionEmbd, Need::required, [](M m, L) { return Dims{m.n_ctx_train, m.n_embd}; }});
    return rules;
}

WeightRules starcoder2_layer_weights(M, L) {
    return join_rules({attention_weights(Need::usual, Need::required),
                       {norm_weight(kAttnNormBias), norm_weight(kFfnNorm), norm_weight(kFfnNormBias)},
                       plain_feed_forward_weights()});
}

WeightRules starcoder_layer_weights(M model, L layer) { return usually_fused(starcoder2_layer_weights(model, layer)); }

void forward(const ForwardInputs& in, Ops& ops) { forward_decoder(in, ops, {}); }

}  // namespace

extern const Architecture kStarcoder, kStarcoder2;
const Architecture kStarcoder = {.name = "starcoder",
                                 .read_config = read_starcoder,
                                 .model_weights = starcoder_model_weights,
                                 .layer_weights = starcoder_layer_weights,
                                 .forward = forward};
const Architecture kStarcoder2 = {.name = "starcoder2",
                                  .read_config = read_starcoder2,
                                  .model_weights = starcoder2_model_weights,
                                  .layer_weights = starcoder2_layer_weights,
                                  .forward = forward};

}  // namespace atlas
