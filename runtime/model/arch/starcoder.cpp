// starcoder (also Granite Code 34B) and starcoder2: LayerNorm with biases, a feed-forward block without a gate;
// starcoder has learned positions and one matrix of q, k and v. Planned, not run yet.

#include "runtime/model/common_weights.h"
#include "runtime/model/decoder_config.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

Result<ModelConfig> read_starcoder(const KeySource& keys) {
    DecoderTraits traits = RopeParams::Pairing::halves;
    traits.norm_eps_key = "attention.layer_norm_epsilon";
    return read_decoder_config(keys, traits);
}

WeightRules starcoder2_model_weights() { return join_rules({model_weights(), {norm_weight("output_norm.bias")}}); }

WeightRules starcoder_model_weights() {
    return join_rules({starcoder2_model_weights(), {{"position_embd.weight", Need::required, [](M m, L) {
                                                         return Dims{m.n_ctx_train, m.n_embd};
                                                     }}}});
}

WeightRules rest_of_layer() {
    return join_rules({{norm_weight("attn_norm.bias"), norm_weight(kFfnNorm), norm_weight("ffn_norm.bias")},
                       plain_feed_forward_weights()});
}

WeightRules starcoder2_layer_weights(M, L) {
    return join_rules({attention_weights(Need::usual, Need::required), rest_of_layer()});
}

WeightRules starcoder_layer_weights(M, L) {
    return join_rules({usually_fused(attention_weights(Need::usual, Need::required)), rest_of_layer()});
}

}  // namespace

extern const Architecture kStarcoder, kStarcoder2;
const Architecture kStarcoder = {"starcoder", read_starcoder, starcoder_model_weights, starcoder_layer_weights};
const Architecture kStarcoder2 = {"starcoder2", read_starcoder, starcoder2_model_weights, starcoder2_layer_weights};

}  // namespace atlas
