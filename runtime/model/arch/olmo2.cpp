// olmo2: OLMo 2 and OLMo 3. Norms after each block and none before, and of all queries and all keys together. OLMo 3
// has a window in three of four layers.

#include "runtime/model/decoder_config.h"
#include "runtime/model/decoder_parts.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

Result<ModelConfig> read_olmo2(const KeySource& source) {
    ATLAS_TRY(ModelConfig config, read_decoder_config(source, runs(RopeParams::Pairing::halves)));
    ATLAS_TRY_VOID(read_windows(KeyReader(source), 4, config));
    for (LayerConfig& layer : config.layers) {
        if (layer.window == 0) continue;
        layer.rope.freq_scale = layer.rope.attn_factor = 1;
        layer.rope.ext_factor = 0;
    }
    return config;
}

WeightRules layer_weights(M, L) {
    WeightRules rules = attention_weights();
    std::erase_if(rules, [](const WeightRule& rule) { return rule.id == kAttnNorm; });
    return join_rules({rules,
                       {{kAttnQNorm, Need::required, [](M, L l) { return Dims{l.q_width()}; }},
                        {kAttnKNorm, Need::required, [](M, L l) { return Dims{l.k_width()}; }},
                        norm_weight(kAttnPostNorm),
                        norm_weight(kFfnPostNorm)},
                       gated_feed_forward_weights(Scale::unused)});
}

}  // namespace

extern const Architecture kOlmo2;
const Architecture kOlmo2 = {
    .name = "olmo2",
    .read_config = read_olmo2,
    .model_weights = model_weights,
    .layer_weights = layer_weights,
    .forward =
        [](const ForwardInputs& in, Ops& ops) {
            forward_decoder(in, ops,
                            {.mixer_norm = {},
                             .feed_forward_norm = {},
                             .mixer_post_norm = kAttnPostNorm,
                             .feed_forward_post_norm = kFfnPostNorm});
        },
};

}  // namespace atlas
