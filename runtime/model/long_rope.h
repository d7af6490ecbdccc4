#pragma once
// Rope with factors for contexts up to and beyond the one of the first training (LongRoPE, arXiv:2402.13753).

#include "runtime/model/common_weights.h"
#include "runtime/model/decoder_config.h"

namespace atlas {

/// Which context the first training had. Fails: corrupt.
Result<void> read_long_rope(const KeyReader& keys, ModelConfig& config);

/// model_weights with the factors, which files may lack.
WeightRules long_rope_model_weights(const ModelConfig& config);

}  // namespace atlas
