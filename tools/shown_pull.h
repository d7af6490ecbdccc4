#pragma once
// Pulling a model while the user watches: progress and notes on stderr, Ctrl-C stops and keeps what came.

#include "tools/models/import_model.h"
#include "tools/models/pull_model.h"

namespace atlas::tools {

/// Pulls from the servers that the environment names. Fails: as pull_model, invalid_argument (the environment).
Result<StoredModel> shown_pull(const Source& source);

/// Imports a file of this computer. Fails: as import_model.
Result<StoredModel> shown_import(const std::filesystem::path& path, const std::string& name, ImportBy by);

}  // namespace atlas::tools
