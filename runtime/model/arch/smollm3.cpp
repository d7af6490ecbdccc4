// smollm3: SmolLM3 3B. The block of llama; every fourth layer has no rope.

#include "runtime/model/decoder_parts.h"
#include "runtime/model/dense_decoder.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read_smollm3(const KeySource& keys) {
    ATLAS_TRY(ModelConfig config, read_decoder_config(keys, runs(RopeParams::Pairing::adjacent)));
    remove_ropes(config, [](uint32_t il, const LayerConfig&) { return il % 4 == 3; });
    return config;
}

}  // namespace

extern const Architecture kSmolLm3;
const Architecture kSmolLm3 = {
    .name = "smollm3",
    .read_config = read_smollm3,
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules(
                {attention_weights(), {norm_weight(kFfnNorm)}, gated_feed_forward_weights(Scale::unused)});
        },
    .forward = forward_dense_decoder,
};

}  // namespace atlas
