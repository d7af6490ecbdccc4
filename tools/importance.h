#pragma once
// Importance matrices: how large the inputs of every weight column were on some text, as llama-imatrix writes them
// (GGUF).

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "runtime/base/error.h"

namespace atlas::tools {

/// Tensor name -> mean square of the inputs, [matrices, columns] (one matrix, or one per expert).
using Importance = std::map<std::string, std::vector<float>, std::less<>>;

/// Fails: as gguf::File::open, and corrupt where sums and counts do not belong together.
Result<Importance> read_importance(const std::filesystem::path& path);

}  // namespace atlas::tools
