#pragma once
// From the name of a model to a complete model in the store.

#include "tools/models/source.h"
#include "tools/models/store.h"

namespace atlas::tools {

/// Fetches, unpacks and checks (every GGUF header is read) the model and marks it complete; a model that is there already is
/// returned as it is. `on_file` is told what is fetched next. Fails: as download and find_files, corrupt (not a GGUF file).
Result<StoredModel> pull_model(const ModelStore& store, const Source& source, const Sites& sites, const DownloadOptions& options,
                               const std::function<void(const RemoteFile& file, size_t number, size_t count)>& on_file);

}  // namespace atlas::tools
