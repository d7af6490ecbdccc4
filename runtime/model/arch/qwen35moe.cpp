// qwen35moe and qwen3next (Qwen3-Coder-Next): qwen35 with experts, and one more that every token uses, weighed by a
// gate of its own. In qwen3next each key head serves a run of value heads.

#include "runtime/model/delta_net_decoder.h"
#include "runtime/model/expert_parts.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read(const KeySource& keys, bool grouped) {
    DecoderTraits traits = runs(RopeParams::Pairing::halves);
    traits.experts.normalized = true;
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(keys, traits));
    ATLAS_TRY_VOID(read_delta_net_layers(keys, config, grouped));
    return config;
}

Result<ModelConfig> read_qwen35moe(const KeySource& keys) { return read(keys, false); }
Result<ModelConfig> read_qwen3next(const KeySource& keys) { return read(keys, true); }

WeightRules with_experts(const LayerConfig& layer, const WeightRules& mixer) {
    return join_rules({mixer, maybe_merged(expert_weights(layer)), {norm_weight(kFfnGateInpShared)}, expert_scales()});
}

WeightRules qwen35moe_weights(const ModelConfig&, const LayerConfig& layer) {
    return with_experts(layer, gated_mixer_weights(layer));
}

WeightRules qwen3next_weights(const ModelConfig&, const LayerConfig& layer) {
    return with_experts(layer, by_key_head(gated_mixer_weights(layer)));
}

void forward(const ForwardInputs& in, Ops& ops) {
    forward_decoder(in, ops,
                    {.mixer = gated_mixer, .feed_forward = expert_feed_forward, .feed_forward_norm = {kAttnPostNorm}});
}

}  // namespace

extern const Architecture kQwen35Moe, kQwen3Next;
const Architecture kQwen35Moe = {"qwen35moe", read_qwen35moe, model_weights, qwen35moe_weights, {}, forward};
const Architecture kQwen3Next = {"qwen3next", read_qwen3next, model_weights, qwen3next_weights, {}, forward};

}  // namespace atlas
