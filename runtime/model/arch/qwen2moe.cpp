// qwen2moe: Qwen1.5-MoE, Qwen2-57B-A14B. The attention of qwen2, experts, and one more that every token uses, weighed
// by a gate of its own. The reference implementation does not apply the scales of these matrices.

#include <array>

#include "runtime/model/dense_decoder.h"
#include "runtime/model/expert_parts.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

constexpr auto kIgnorable = std::to_array<std::string_view>({"_exps.scale", "_shexp.scale", "ffn_gate_inp.scale"});

WeightRules layer_weights(const ModelConfig&, const LayerConfig& layer) {
    WeightRules rules = join_rules(
        {attention_weights(Need::usual), {norm_weight(kFfnNorm)}, expert_or_dense_weights(layer, Scale::unused)});
    if (layer.experts.n_ff_shared > 0) rules.push_back(norm_weight(kFfnGateInpShared));
    return rules;
}

}  // namespace

extern const Architecture kQwen2Moe;
const Architecture kQwen2Moe = {
    .name = "qwen2moe",
    .read_config = [](const KeySource& keys) { return read_expert_decoder(keys, RopeParams::Pairing::halves); },
    .model_weights = model_weights,
    .layer_weights = layer_weights,
    .ignorable = kIgnorable,
    .forward = forward_expert_decoder,
};

}  // namespace atlas
