#pragma once
// Whether the bytes read from a mapped model file were really the file's.

#include "runtime/base/error.h"
#include "runtime/gguf/reader.h"

namespace atlas::gguf {

/// A model file that became shorter while it is mapped, or whose disk is bad, reads as zeros there
/// (runtime/base/mapped_file.h). Callers that computed with File::data() ask this before they trust the result: for all
/// parts, or for the one in which `tensor` lies. Costs nothing. Fails: io (names the file).
Result<void> check_intact(const File& file);
Result<void> check_intact(const File& file, const TensorInfo& tensor);

}  // namespace atlas::gguf
