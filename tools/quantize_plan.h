#pragma once
// The format that quantizing gives to every tensor of a file.

#include <cstdint>
#include <string>
#include <vector>

#include "quant/recipe.h"
#include "runtime/base/error.h"
#include "runtime/gguf/reader.h"
#include "tools/importance.h"
#include "tools/model_rewrite.h"

namespace atlas::tools {

struct QuantizePlan {
    std::vector<RewrittenTensor> tensors;  // in the file's order; they point into the file and the importance
    uint64_t in_bytes = 0;
    uint64_t out_bytes = 0;
    uint64_t n_elems = 0;
};

/// Fails: not_found, corrupt (keys that no model can have), unsupported (a tensor of unknown type), invalid_argument (a
/// tensor that is quantized already, unless `requantize`; an importance matrix of another model).
Result<QuantizePlan> plan_quantize(const gguf::File& file, const Recipe& recipe, const Importance& importance,
                                   bool requantize);

/// "[  12/ 272] blk.1.attn_q.weight    f16 -> q4_k    1.2 MiB\n"; safe for a terminal.
std::string tensor_line(const QuantizePlan& plan, size_t at);

}  // namespace atlas::tools
