// seed_oss: Seed-OSS 36B. The block of llama with biases on q, k and v and rope over the two halves of a head; the norm
// before the feed-forward block has another name.

#include "runtime/model/decoder_config.h"
#include "runtime/model/decoder_parts.h"
#include "runtime/model/registry.h"

namespace atlas {

extern const Architecture kSeedOss;
const Architecture kSeedOss = {
    .name = "seed_oss",
    .read_config = [](const KeySource& keys) { return read_decoder_config(keys, runs(RopeParams::Pairing::halves)); },
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules({attention_weights(Need::usual),
                               {norm_weight(kAttnPostNorm)},
                               gated_feed_forward_weights(Scale::unused)});
        },
    .forward = [](const ForwardInputs& in,
                  Ops& ops) { forward_decoder(in, ops, {.feed_forward_norm = {kAttnPostNorm}}); },
};

}  // namespace atlas
