#pragma once
// The four factors of Granite's models.

#include "runtime/model/decoder_config.h"

namespace atlas {

/// `read` with the keys embedding_scale, residual_scale, attention.scale and logit_scale. Fails: as `read`; corrupt,
/// not_found (logit_scale).
Result<ModelConfig> with_granite_factors(const KeySource& source, Result<ModelConfig> read,
                                         bool needs_logit_scale = true);

}  // namespace atlas
