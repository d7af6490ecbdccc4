// cohere2: Command R7B, Command A. Layer norms without biases, one for both blocks of a layer, and scaled logits; a
// window in three of four layers, and rope only there.

#include "runtime/model/decoder_config.h"
#include "runtime/model/decoder_parts.h"
#include "runtime/model/limits.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read_cohere2(const KeySource& source) {
    const KeyReader keys(source);
    ATLAS_TRY(ModelConfig config, read_decoder_config(source, runs_with_layer_norms(RopeParams::Pairing::adjacent)));
    ATLAS_TRY(config.logit_scale, keys.number("logit_scale", 0, 1e6f));
    if (config.logit_scale == 0) config.logit_scale = 1;
    ATLAS_TRY_VOID(keys.count("attention.sliding_window", {1, kMaxContext}).map([](uint32_t) {}));
    ATLAS_TRY_VOID(read_windows(keys, 4, config));
    remove_ropes(config, [](uint32_t, const LayerConfig& layer) { return layer.window == 0; });
    return config;
}

}  // namespace

extern const Architecture kCohere2;
const Architecture kCohere2 = {
    .name = "cohere2",
    .read_config = read_cohere2,
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules({attention_weights(), gated_feed_forward_weights(Scale::unused)});
        },
    .forward = [](const ForwardInputs& in, Ops& ops) { forward_decoder(in, ops, {.parallel = true}); },
};

}  // namespace atlas
