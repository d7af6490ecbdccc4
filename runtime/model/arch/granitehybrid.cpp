// granitehybrid: Granite 4 H. The block of granite; most layers have Mamba-2 instead of attention.

#include <array>

#include "runtime/model/expert_parts.h"
#include "runtime/model/granite_factors.h"
#include "runtime/model/mamba.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read_granitehybrid(const KeySource& source) {
    const KeyReader keys(source);
    DecoderTraits traits = runs(RopeParams::Pairing::adjacent);
    traits.layers_differ = traits.attention_in_some = true;
    traits.experts = {.normalized = true, .own_width = false};
    ATLAS_TRY(ModelConfig config, with_granite_factors(source, read_expert_decoder_config(source, traits), false));
    ATLAS_TRY(const StateSpaceConfig space, read_state_space(keys));
    for (LayerConfig& layer : config.layers) {
        if (layer.n_head_kv > 0) continue;
        layer.mixer = Mixer::state_space;
        layer.state_space = space;
    }
    if (!source.flag_or("rope.scaling.finetuned", true))
        remove_ropes(config, [](uint32_t, const LayerConfig&) { return true; });
    return config;
}

WeightRules layer_weights(const ModelConfig&, const LayerConfig& layer) {
    return join_rules({layer.mixer == Mixer::attention ? attention_weights() : state_space_weights(),
                       {norm_weight(kFfnNorm)},
                       expert_or_dense_weights(layer, Scale::unused)});
}

constexpr auto kIgnorable = std::to_array<std::string_view>({"_exps.scale", "_shexp.scale", "ffn_gate_inp.scale"});

void forward(const ForwardInputs& in, Ops& ops) {
    forward_decoder(in, ops, {.mixer = state_space_or_attention, .feed_forward = expert_feed_forward});
}

}  // namespace

extern const Architecture kGraniteHybrid;
const Architecture kGraniteHybrid = {"granitehybrid", read_granitehybrid, model_weights,
                                     layer_weights,   kIgnorable,         forward};

}  // namespace atlas
