#pragma once
// One process at a time changes a model's folder.

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>

#include "runtime/base/error.h"

namespace atlas::tools {

/// Holds an exclusive lock on the file ".lock" in a folder. The system gives the lock back when the process ends, however it ends.
class FolderLock {
  public:
    /// Makes the folder if need be and waits while somebody else holds its lock; `on_wait` is told once.
    /// Fails: io (also where the file system knows no locks), cancelled.
    static Result<FolderLock> take(const std::filesystem::path& folder, const std::function<void()>& on_wait, const std::stop_token& stop);
    /// Does not wait: nothing when somebody else holds the lock. Fails: io.
    static Result<std::optional<FolderLock>> try_take(const std::filesystem::path& folder);

    FolderLock(FolderLock&& other) noexcept;
    FolderLock& operator=(FolderLock&&) = delete;
    ~FolderLock();

    const std::filesystem::path& folder() const { return folder_; }

  private:
    FolderLock(std::filesystem::path folder, int file) : folder_(std::move(folder)), file_(file) {}
    std::filesystem::path folder_;
    int file_ = -1;
};

}  // namespace atlas::tools
