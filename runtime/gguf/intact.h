#pragma once
// Whether what was read of a model file was the file's.

#include "runtime/base/error.h"
#include "runtime/gguf/reader.h"

namespace atlas::gguf {

/// A model file that became shorter while it is mapped, or whose disk is bad, reads as zeros there (runtime/base/mapped_file.h). Who has computed with
/// File::data() asks this before the result counts: of all parts, or of the one in which `tensor` lies. Costs nothing. Fails: io (names the file).
Result<void> check_intact(const File& file);
Result<void> check_intact(const File& file, const TensorInfo& tensor);

}  // namespace atlas::gguf
