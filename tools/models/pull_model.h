#pragma once
// From the name of a model to a complete model in the store.

#include "tools/models/source.h"
#include "tools/models/store.h"

namespace atlas::tools {

using OnFile = std::function<void(const std::string& file_name, size_t number, size_t count)>;

/// Fetches, unpacks and checks (every GGUF header is read) the model and marks it complete; a model that is stored
/// already is returned as it is. Any number of processes may do this at once: one works, the others wait for it and
/// find it done. `on_file` is called with the file that is fetched next. Fails: as download and find_files, corrupt
/// (not a GGUF file), invalid_argument (the name is taken).
Result<StoredModel> pull_model(const ModelStore& store, const Source& source, const Sites& sites,
                               const DownloadOptions& options, const OnFile& on_file);

}  // namespace atlas::tools
