// granite: Granite 3.x. The block of llama with four factors of its own. Planned, not run yet.

#include "runtime/model/common_weights.h"
#include "runtime/model/decoder_config.h"
#include "runtime/model/registry.h"

namespace atlas {

extern const Architecture kGranite;
const Architecture kGranite = {
    .name = "granite",
    .read_config = [](const KeySource& keys) { return read_decoder_config(keys, RopeParams::Pairing::adjacent); },
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules({attention_weights(), {norm_weight(kFfnNorm)}, gated_feed_forward_weights()});
        },
};

}  // namespace atlas
