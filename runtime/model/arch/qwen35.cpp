// qwen35: Qwen3.5 and later. Every fourth layer has attention with an output gate, the others a gated delta net.

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

void forward(const ForwardInputs& in, Ops& ops) {
    DecoderBlocks blocks;
    blocks.mixer = gated_mixer;
    blocks.feed_forward_norm = {kAttnPostNorm};
    forward_decoder(in, ops, blocks);
}

}  // namespace

extern const Architecture kQwen35;
const Architecture kQwen35 = {
    .name = "qwen35",
    .read_config = read_qwen35,
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig& layer) {
            return join_rules({gated_mixer_weights(layer), gated_feed_forward_weights()});
        },
    .forward = forward,
};

}  // namespace atlas
