// phi3: Phi-3, Phi-3.5, Phi-4. One matrix of q, k and v, and one of gate and up. Planned, not run yet.

#include "runtime/model/common_weights.h"
#include "runtime/model/decoder_config.h"
#include "runtime/model/registry.h"

namespace atlas {

extern const Architecture kPhi3;
const Architecture kPhi3 = {
    .name = "phi3",
    .read_config = [](const KeySource& keys) { return read_decoder_config(keys, RopeParams::Pairing::halves); },
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules(
                {usually_fused(attention_weights()), {norm_weight(kFfnNorm)}, fused_feed_forward_weights()});
        },
};

}  // namespace atlas
