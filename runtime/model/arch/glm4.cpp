// glm4: GLM-4-9B, GLM-4-32B-0414. Norms before and after each block, rope over half a head, one matrix of gate and up.
// Planned, not run yet.

#include "runtime/model/common_weights.h"
#include "runtime/model/decoder_config.h"
#include "runtime/model/registry.h"

namespace atlas {

extern const Architecture kGlm4;
const Architecture kGlm4 = {
    .name = "glm4",
    .read_config = [](const KeySource& keys) { return read_decoder_config(keys, RopeParams::Pairing::adjacent); },
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules({attention_weights(Need::usual),
                               {norm_weight("post_attention_norm.weight"), norm_weight(kFfnNorm),
                                norm_weight("post_ffw_norm.weight")},
                               fused_feed_forward_weights()});
        },
};

}  // namespace atlas
