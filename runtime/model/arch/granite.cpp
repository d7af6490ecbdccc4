// granite: Granite 3 and 4. The block of llama with four factors of its own; some models have no rope. Not yet: its
// mixtures of experts.

#include "runtime/model/decoder_parts.h"
#include "runtime/model/dense_decoder.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

Result<ModelConfig> read_granite(const KeySource& source) {
    constexpr float kMost = 1e6f;
    const KeyReader keys(source);
    ATLAS_TRY(ModelConfig config, read_decoder_config(source, runs(RopeParams::Pairing::adjacent)));
    // Writers put 0 for "not scaled".
    const auto factor_or = [&](std::string_view key, float fallback) {
        return keys.number_or(key, 0, kMost, 0).map([&](float found) { return found == 0 ? fallback : found; });
    };
    ATLAS_TRY(config.embedding_scale, factor_or("embedding_scale", 1));
    ATLAS_TRY(config.residual_scale, factor_or("residual_scale", 1));
    ATLAS_TRY(config.attention_scale, factor_or("attention.scale", config.attention_scale));
    ATLAS_TRY(const float divisor, keys.number("logit_scale", 0, kMost));
    config.logit_scale = divisor == 0 ? 1 : 1 / divisor;
    if (!source.flag_or("rope.scaling.finetuned", true))
        remove_ropes(config, [](uint32_t, const LayerConfig&) { return true; });
    return config;
}

}  // namespace

extern const Architecture kGranite;
const Architecture kGranite = {
    .name = "granite",
    .read_config = read_granite,
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules(
                {attention_weights(), {norm_weight(kFfnNorm)}, gated_feed_forward_weights(Scale::unused)});
        },
    .forward = forward_dense_decoder,
};

}  // namespace atlas
