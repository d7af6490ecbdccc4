#pragma once
// A GGUF file of this computer as a model of the store.

#include "tools/models/download.h"
#include "tools/models/store.h"

namespace atlas::tools {

enum class ImportBy {
    link_or_copy,  // a hard link where the file system allows it, which takes no space; else a copy
    link,          // a hard link or nothing
    copy,
};

/// The name that a file gets in the store if the user gives none: its own, without ".gguf" and "-00001-of-00003".
/// Empty: it gives none.
std::string name_of_file(const std::filesystem::path& path);

/// Stores the file, or all parts of a split model of which one is named, under `name`. The original stays.
/// Fails: not_found, corrupt (not a GGUF file), invalid_argument (the name is taken; ImportBy::link where no link is
/// possible), io, cancelled.
Result<StoredModel> import_model(const ModelStore& store, const std::filesystem::path& path, const std::string& name,
                                 ImportBy by, const DownloadOptions& options);

}  // namespace atlas::tools
