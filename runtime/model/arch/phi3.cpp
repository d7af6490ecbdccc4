// phi3: Phi-3, Phi-3.5, Phi-4, Phi-4-mini. One matrix of q, k and v, and one of gate and up; rope may leave a part of
// each head, and has factors for contexts up to and beyond the one of the first training.

#include "runtime/model/dense_decoder.h"
#include "runtime/model/long_rope.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

Result<ModelConfig> read_phi3(const KeySource& source) {
    ATLAS_TRY(ModelConfig config, read_decoder_config(source, runs(RopeParams::Pairing::halves)));
    ATLAS_TRY_VOID(read_long_rope(KeyReader(source), config));
    return config;
}

}  // namespace

extern const Architecture kPhi3;
const Architecture kPhi3 = {
    .name = "phi3",
    .read_config = read_phi3,
    .model_weights = long_rope_model_weights,
    .layer_weights =
        [](M, L) {
            return join_rules(
                {usually_fused(attention_weights()), {norm_weight(kFfnNorm)}, fused_feed_forward_weights()});
        },
    .forward = forward_dense_decoder,
};

}  // namespace atlas
