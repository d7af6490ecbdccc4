#pragma once
// The folder that a model is pulled into.

#include <memory>
#include <optional>

#include "tools/models/folder_lock.h"
#include "tools/models/source.h"
#include "tools/models/store.h"

namespace atlas::tools {

/// The stored model of this source, under its name or, if the user gave none, under any name. Nothing: it is not
/// stored. Fails: invalid_argument (another model has the name).
Result<std::optional<StoredModel>> find_stored(const ModelStore& store, const Source& source);

/// A folder of the store, locked by this process and claimed for one source: "pull.json" in it says for which, and what
/// is complete.
class PullFolder {
  public:
    /// Waits, with a note, while another process works in it. Fails: io, cancelled, invalid_argument (it holds an
    /// unfinished pull of another source, or another model).
    static Result<PullFolder> enter(const ModelStore& store, const Source& source, const DownloadOptions& options);

    /// The model, if another process has pulled it meanwhile; then nothing remains to be done.
    const std::optional<StoredModel>& finished() const { return finished_; }
    const FolderLock& lock() const { return lock_; }
    std::filesystem::path path_of(const std::string& file_name) const { return lock_.folder() / file_name; }

    /// Whether the file lies there and is the right one, by the hash that the server promises or that was noted when it
    /// was complete. A wrong one, or one without a known hash, is deleted with a note. Fails: io, cancelled.
    Result<bool> holds(const std::string& file_name, const std::optional<std::string>& sha256,
                       const DownloadOptions& options) const;
    /// Notes that the file is complete. Fails: io.
    Result<void> note_complete(const std::string& file_name, const std::string& sha256);
    /// Makes the folder a stored model that is opened by `file_name`. Fails: io.
    Result<StoredModel> finish(const std::string& file_name);

    PullFolder(PullFolder&&) = default;
    /// Deletes a folder into which nothing was pulled.
    ~PullFolder();

  private:
    PullFolder(const ModelStore& store, std::string name, FolderLock lock)
        : store_(&store), name_(std::move(name)), lock_(std::move(lock)) {}

    const ModelStore* store_;
    std::string name_;
    FolderLock lock_;
    bool is_claimed_ = false;  // for this source
    std::optional<StoredModel> finished_;
    FolderNote claim_;
};

}  // namespace atlas::tools
