// llama: Llama 1 to 3.x, Mistral, SmolLM2, DeepSeek-R1-Distill-Llama and many others that were converted to its names.
// Files store the query and key matrices permuted so that rope rotates adjacent pairs.

#include "runtime/model/common_weights.h"
#include "runtime/model/dense_decoder.h"
#include "runtime/model/registry.h"

namespace atlas {

extern const Architecture kLlama;
const Architecture kLlama = {
    .name = "llama",
    .read_config = [](const KeySource& keys) { return read_dense_decoder(keys, RopeParams::Pairing::adjacent); },
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules({attention_weights(), {norm_weight(kFfnNorm)}, gated_feed_forward_weights()});
        },
    .forward = forward_dense_decoder,
};

}  // namespace atlas
