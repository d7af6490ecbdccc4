// qwen3: Qwen3 0.6B to 32B. The block of qwen2 without biases, with an RMS norm of every query and key head before
// rope.

#include "runtime/model/common_weights.h"
#include "runtime/model/dense_decoder.h"
#include "runtime/model/registry.h"

namespace atlas {

extern const Architecture kQwen3;
const Architecture kQwen3 = {
    .name = "qwen3",
    .read_config = [](const KeySource& keys) { return read_dense_decoder(keys, RopeParams::Pairing::halves); },
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules(
                {attention_weights(), head_norm_weights(), {norm_weight(kFfnNorm)}, gated_feed_forward_weights()});
        },
    .forward = forward_dense_decoder,
};

}  // namespace atlas
