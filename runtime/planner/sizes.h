#pragma once
// How large a model is in a quantization, from its shape alone: the recipes decide tensor by tensor, as the quantizer
// does.

#include <string_view>

#include "quant/format.h"
#include "runtime/base/error.h"
#include "runtime/planner/model_shape.h"

namespace atlas {

/// The tensors of the model's GGUF in this quantization, with formats and bytes. `quant`: a recipe's name in any letter
/// case ("Q4_K_M"), or "MXFP4" (also "MXFP4_MOE": experts in MXFP4, the rest in Q8_0, as some models are published).
/// has_importance: made with an importance matrix, which changes some formats. Fails: not_found (an unknown
/// quantization: names the known ones).
Result<std::vector<gguf::TensorInfo>> quantized_tensors(const ModelShape& model, std::string_view quant,
                                                        bool has_importance);

struct ModelSize {
    uint64_t tensor_bytes = 0;
    uint64_t file_bytes = 0;  // with the metadata, whose size the tokenizer decides: good to 10 MB
    uint64_t step_bytes =
        0;  // weights that one token reads: no embedding table (one row), only the experts that are used
    double bits_per_weight = 0;
    uint64_t largest_tensor_bytes = 0;
};

/// Of these tensors, a file's or those that a quantization makes; without file_bytes.
ModelSize size_of(std::span<const gguf::TensorInfo> tensors, const ModelShape& model);
/// Fails: as quantized_tensors.
Result<ModelSize> size_of(const ModelShape& model, std::string_view quant, bool has_importance);

}  // namespace atlas
