#pragma once
// One process at a time changes a model's folder.

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>

#include "runtime/base/error.h"

namespace atlas::tools {

/// Holds an exclusive lock on the file ".lock" in a folder. The system releases the lock when the process ends, however
/// it ends.
class FolderLock {
  public:
    /// Makes the folder if needed and waits while another process holds its lock; calls `on_wait` once if it waits.
    /// Fails: io (also where the file system knows no locks), cancelled.
    static Result<FolderLock> take(const std::filesystem::path& folder, const std::function<void()>& on_wait,
                                   const std::stop_token& stop);
    /// Does not wait: returns nothing when another process holds the lock. Fails: io.
    static Result<std::optional<FolderLock>> try_take(const std::filesystem::path& folder);

    FolderLock(FolderLock&& other) noexcept;
    /// Deletes the lock file and the folder, if nothing else is in it; a process that waits makes both anew.
    void remove_empty_folder();
    bool is_held() const { return file_ >= 0; }
    FolderLock& operator=(FolderLock&&) = delete;
    ~FolderLock();

    const std::filesystem::path& folder() const { return folder_; }

  private:
    FolderLock(std::filesystem::path folder, int file) : folder_(std::move(folder)), file_(file) {}
    std::filesystem::path folder_;
    int file_ = -1;
};

}  // namespace atlas::tools
