#pragma once
// What a user means by the name of a model.

#include <optional>

#include "tools/models/source.h"
#include "tools/models/store.h"

namespace atlas::tools {

struct ResolvedModel {
    std::filesystem::path path;    // to open; empty: there is no such model here
    std::optional<Source> source;  // then: where it could be pulled from, if the name is one of a source
    Error error;                   // and what to say
};

/// A file, else a stored name, else what is stored from the source of this name, else a source.
ResolvedModel resolve_model(const ModelStore& store, const std::string& name);

/// Just the file. Fails: not_found, invalid_argument (a directory).
Result<std::filesystem::path> find_model_in(const ModelStore& store, const std::string& name);

}  // namespace atlas::tools
