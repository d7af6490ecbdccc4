// qwen35, qwen35moe: Qwen3.5 and later. Every fourth layer has attention with an output gate, the others a gated delta
// net. With experts they are planned, not run yet.

#include "runtime/model/delta_net_decoder.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

// The sections of rope are for images: text has one position for all of them, so that they turn as halves do.
Result<ModelConfig> read_qwen35(const KeySource& keys) {
    DecoderTraits traits = RopeParams::Pairing::halves;
    traits.runs = true;
    ATLAS_TRY(ModelConfig config, read_decoder_config(keys, traits));
    ATLAS_TRY_VOID(read_delta_net_layers(keys, config));
    return config;
}

Result<ModelConfig> read_qwen35moe(const KeySource& keys) {
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(keys, RopeParams::Pairing::halves));
    ATLAS_TRY_VOID(read_delta_net_layers(keys, config));
    return config;
}

WeightRules mixer_weights(const LayerConfig& layer) {
    return join_rules({layer.mixer == Mixer::delta_net ? delta_net_weights() : gated_attention_weights(),
                       {norm_weight(kAttnPostNorm)}});
}

void forward(const ForwardInputs& in, Ops& ops) {
    DecoderBlocks blocks;
    blocks.mixer = gated_mixer;
    blocks.feed_forward_norm = {kAttnPostNorm};
    forward_decoder(in, ops, blocks);
}

}  // namespace

extern const Architecture kQwen35, kQwen35Moe;
const Architecture kQwen35 = {
    .name = "qwen35",
    .read_config = read_qwen35,
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig& layer) {
            return join_rules({mixer_weights(layer), gated_feed_forward_weights()});
        },
    .forward = forward,
};
const Architecture kQwen35Moe = {
    .name = "qwen35moe",
    .read_config = read_qwen35moe,
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig& layer) {
            return join_rules(
                {mixer_weights(layer), expert_weights(layer), {norm_weight("ffn_gate_inp_shexp.weight")}});
        },
};

}  // namespace atlas
