// granite, granitemoe: Granite 3 and 4. The block of llama with four factors of its own, dense or with experts; some of
// the dense models have no rope. The reference implementation does not apply the scales of feed-forward matrices.

#include <array>

#include "runtime/model/dense_decoder.h"
#include "runtime/model/expert_parts.h"
#include "runtime/model/granite_factors.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read_granite(const KeySource& source) {
    ATLAS_TRY(ModelConfig config,
              with_granite_factors(source, read_decoder_config(source, runs(RopeParams::Pairing::adjacent))));
    if (!source.flag_or("rope.scaling.finetuned", true))
        remove_ropes(config, [](uint32_t, const LayerConfig&) { return true; });
    return config;
}

Result<ModelConfig> read_granitemoe(const KeySource& source) {
    DecoderTraits traits = runs(RopeParams::Pairing::adjacent);
    traits.experts = {.normalized = true, .own_width = false};
    return with_granite_factors(source, read_expert_decoder_config(source, traits));
}

WeightRules layer_weights(const ModelConfig&, const LayerConfig& layer) {
    return join_rules({attention_weights(), {norm_weight(kFfnNorm)}, expert_or_dense_weights(layer, Scale::unused)});
}

constexpr auto kIgnorable = std::to_array<std::string_view>({"_exps.scale", "_shexp.scale", "ffn_gate_inp.scale"});

}  // namespace

extern const Architecture kGranite, kGraniteMoe;
const Architecture kGranite = {"granite", read_granite, model_weights, layer_weights, {}, forward_dense_decoder};
const Architecture kGraniteMoe = {"granitemoe",  read_granitemoe, model_weights,
                                  layer_weights, kIgnorable,      forward_expert_decoder};

}  // namespace atlas
