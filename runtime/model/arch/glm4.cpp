// glm4: GLM-4-9B, GLM-4-32B-0414. Norms before and after each block, rope over a part of each head, one matrix of gate
// and up.

#include "runtime/model/common_weights.h"
#include "runtime/model/dense_decoder.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

// Rope in sections (of time, height and width) is for text rope over halves: all positions are the same.
Result<ModelConfig> read_glm4(const KeySource& keys) {
    constexpr std::string_view kSections = "rope.dimension_sections";
    auto pairing = RopeParams::Pairing::adjacent;
    if (keys.has(kSections)) {
        ATLAS_TRY(const std::vector<int64_t> sections, keys.integers(kSections));
        if (sections.size() >= 2 && (sections[0] > 0 || sections[1] > 0)) pairing = RopeParams::Pairing::halves;
    }
    ATLAS_TRY(ModelConfig config, read_decoder_config(keys, runs(pairing)));
    ATLAS_TRY_VOID(split_draft_layers(KeyReader(keys), config));
    return config;
}

}  // namespace

extern const Architecture kGlm4;
const Architecture kGlm4 = {
    .name = "glm4",
    .read_config = read_glm4,
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules({attention_weights(Need::usual),
                               {norm_weight(kAttnPostNorm), norm_weight(kFfnNorm), norm_weight(kFfnPostNorm)},
                               fused_feed_forward_weights()});
        },
    .forward = forward_decoder_with_post_norms,
};

}  // namespace atlas
