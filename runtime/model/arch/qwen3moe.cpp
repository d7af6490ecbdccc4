// qwen3moe: Qwen3-30B-A3B, Qwen3-Coder. The attention of qwen3 and experts. Planned, not run yet.

#include "runtime/model/common_weights.h"
#include "runtime/model/decoder_config.h"
#include "runtime/model/registry.h"

namespace atlas {

extern const Architecture kQwen3Moe;
const Architecture kQwen3Moe = {
    .name = "qwen3moe",
    .read_config = [](const KeySource& keys) { return read_expert_decoder_config(keys, RopeParams::Pairing::halves); },
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig& layer) {
            return join_rules(
                {attention_weights(), head_norm_weights(), {norm_weight(kFfnNorm)}, expert_weights(layer)});
        },
};

}  // namespace atlas
