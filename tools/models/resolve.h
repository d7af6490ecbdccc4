#pragma once
// Finds the model that a user's name means.

#include <optional>

#include "tools/models/source.h"
#include "tools/models/store.h"

namespace atlas::tools {

struct ResolvedModel {
    std::filesystem::path path;    // of the file to open; empty: no such model is stored
    std::optional<Source> source;  // if path is empty: where to pull it from, if the name is that of a source
    std::string similar;           // with a source: stored models whose names hold this name's words, "a, b"; or empty
    Error error;                   // if path is empty: the message
};

/// A file, else a stored name, else what is stored from the source of this name, else a source.
ResolvedModel resolve_model(const ModelStore& store, const std::string& name);

/// Only the file. Fails: not_found, invalid_argument (a directory).
Result<std::filesystem::path> find_model_in(const ModelStore& store, const std::string& name);

}  // namespace atlas::tools
