#include "runtime/model/granite_factors.h"

namespace atlas {

Result<ModelConfig> with_granite_factors(const KeySource& source, Result<ModelConfig> read, bool needs_logit_scale) {
    constexpr float kMost = 1e6f;
    const KeyReader keys(source);
    ATLAS_TRY(ModelConfig config, std::move(read));
    // Writers put 0 for "not scaled".
    const auto factor_or = [&](std::string_view key, float fallback) {
        return keys.number_or(key, 0, kMost, 0).map([&](float found) { return found == 0 ? fallback : found; });
    };
    ATLAS_TRY(config.embedding_scale, factor_or("embedding_scale", 1));
    ATLAS_TRY(config.residual_scale, factor_or("residual_scale", 1));
    ATLAS_TRY(config.attention_scale, factor_or("attention.scale", config.attention_scale));
    if (!needs_logit_scale && !keys.has("logit_scale")) return config;
    ATLAS_TRY(const float divisor, keys.number("logit_scale", 0, kMost));
    config.logit_scale = divisor == 0 ? 1 : 1 / divisor;
    return config;
}

}  // namespace atlas
