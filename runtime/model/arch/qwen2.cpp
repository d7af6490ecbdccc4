// qwen2: Qwen2, Qwen2.5, Qwen2.5-Coder, DeepSeek-R1-Distill-Qwen. The block of llama with biases on q, k and v, and
// rope over the two halves of a head. The reference implementation does not apply the scales of feed-forward matrices.

#include "runtime/model/common_weights.h"
#include "runtime/model/dense_decoder.h"
#include "runtime/model/registry.h"

namespace atlas {

extern const Architecture kQwen2;
const Architecture kQwen2 = {
    .name = "qwen2",
    .read_config = [](const KeySource& keys) { return read_dense_decoder(keys, RopeParams::Pairing::halves); },
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules(
                {attention_weights(Need::usual), {norm_weight(kFfnNorm)}, gated_feed_forward_weights(Scale::unused)});
        },
    .forward = forward_dense_decoder,
};

}  // namespace atlas
