// qwen3next: Qwen3-Next and Qwen3-Coder-Next. The mixers of qwen35 with experts; each key head serves a run of value
// heads.

#include "runtime/model/delta_net_decoder.h"
#include "runtime/model/expert_parts.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read_qwen3next(const KeySource& keys) {
    DecoderTraits traits = runs(RopeParams::Pairing::halves);
    traits.experts.normalized = true;
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(keys, traits));
    ATLAS_TRY_VOID(read_delta_net_layers(keys, config, true));
    return config;
}

}  // namespace

extern const Architecture kQwen3Next;
const Architecture kQwen3Next = {
    .name = "qwen3next",
    .read_config = read_qwen3next,
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig& layer) {
            return join_rules({by_key_head(gated_mixer_weights(layer)),
                               maybe_merged(expert_weights(layer)),
                               {norm_weight(kFfnGateInpShared)},
                               expert_scales()});
        },
    .forward =
        [](const ForwardInputs& in, Ops& ops) {
            forward_decoder(
                in, ops,
                {.mixer = gated_mixer, .feed_forward = expert_feed_forward, .feed_forward_norm = {kAttnPostNorm}});
        },
};

}  // namespace atlas
