// phi3: Phi-3, Phi-3.5, Phi-4, Phi-4-mini. One matrix of q, k and v, and one of gate and up; rope may leave a part of
// each head, and has factors for contexts up to and beyond the one of the first training.

#include "runtime/model/decoder_parts.h"
#include "runtime/model/dense_decoder.h"
#include "runtime/model/limits.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

Result<ModelConfig> read_phi3(const KeySource& source) {
    const KeyReader keys(source);
    ATLAS_TRY(ModelConfig config, read_decoder_config(source, runs(RopeParams::Pairing::halves)));
    ATLAS_TRY(uint32_t n_ctx_orig, keys.count_or("rope.scaling.original_context_length", {0, kMaxContext}, 0));
    if (n_ctx_orig == 0) n_ctx_orig = config.n_ctx_train;
    for (LayerConfig& layer : config.layers) layer.rope.n_ctx_orig = n_ctx_orig;
    return config;
}

WeightRules phi3_model_weights(const ModelConfig& config) {
    constexpr auto kPairs = [](M, L l) { return Dims{l.rope.n_rot / 2}; };
    return join_rules(
        {model_weights(config), {{kRopeLong, Need::optional, kPairs}, {kRopeShort, Need::optional, kPairs}}});
}

}  // namespace

extern const Architecture kPhi3;
const Architecture kPhi3 = {
    .name = "phi3",
    .read_config = read_phi3,
    .model_weights = phi3_model_weights,
    .layer_weights =
        [](M, L) {
            return join_rules(
                {usually_fused(attention_weights()), {norm_weight(kFfnNorm)}, fused_feed_forward_weights()});
        },
    .forward = forward_dense_decoder,
};

}  // namespace atlas
