// command-r: Command R and R+. Layer norms without biases, one for both blocks of a layer, and scaled logits. The
// largest models have norms of heads.

#include "runtime/model/decoder_config.h"
#include "runtime/model/decoder_parts.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

constexpr uint32_t kLayersWithHeadNorms = 64;

Result<ModelConfig> read_command_r(const KeySource& source) {
    ATLAS_TRY(ModelConfig config, read_decoder_config(source, runs_with_layer_norms(RopeParams::Pairing::adjacent)));
    ATLAS_TRY(config.logit_scale, KeyReader(source).number_or("logit_scale", 0, 1e6f, 1));
    if (config.logit_scale == 0) config.logit_scale = 1;
    return config;
}

WeightRules layer_weights(M model, L) {
    WeightRules rules = join_rules({attention_weights(), gated_feed_forward_weights(Scale::unused)});
    if (model.n_layer() < kLayersWithHeadNorms) return rules;
    rules.push_back({kAttnQNorm, Need::required, [](M, L l) { return Dims{l.n_head, l.head_dim}; }});
    rules.push_back({kAttnKNorm, Need::required, [](M, L l) { return Dims{l.n_head_kv, l.head_dim}; }});
    return rules;
}

}  // namespace

extern const Architecture kCommandR;
const Architecture kCommandR = {
    .name = "command-r",
    .read_config = read_command_r,
    .model_weights = model_weights,
    .layer_weights = layer_weights,
    .forward = [](const ForwardInputs& in, Ops& ops) { forward_decoder(in, ops, {.parallel = true}); },
};

}  // namespace atlas
