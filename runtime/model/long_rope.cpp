#include "runtime/model/long_rope.h"

#include "runtime/model/limits.h"

namespace atlas {

Result<void> read_long_rope(const KeyReader& keys, ModelConfig& config) {
    ATLAS_TRY(uint32_t n_ctx_orig, keys.count_or("rope.scaling.original_context_length", {0, kMaxContext}, 0));
    if (n_ctx_orig == 0) n_ctx_orig = config.n_ctx_train;
    for (LayerConfig& layer : config.layers) layer.rope.n_ctx_orig = n_ctx_orig;
    return {};
}

WeightRules long_rope_model_weights(const ModelConfig& config) {
    constexpr auto kPairs = [](const ModelConfig&, const LayerConfig& l) { return Dims{l.rope.n_rot / 2}; };
    return join_rules(
        {model_weights(config), {{kRopeLong, Need::optional, kPairs}, {kRopeShort, Need::optional, kPairs}}});
}

}  // namespace atlas
