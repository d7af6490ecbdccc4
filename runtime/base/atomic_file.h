#pragma once
// A file that appears under its name complete or not at all.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

#include "runtime/base/error.h"
#include "runtime/base/os.h"

namespace atlas {

/// Writes to a new file beside `path` and renames it over `path` in commit(). When it is destroyed before that, the new
/// file is removed and `path` is as it was. What a killed process left (".<name>.<8 digits>.tmp") is removed by the
/// next create() for that path; a signal handler that ends the process calls remove_unfinished_files().
class AtomicFile {
  public:
    /// owner_only: other users cannot read it. Fails: not_found (no such folder), io.
    static Result<AtomicFile> create(const std::filesystem::path& path, bool owner_only = false);

    AtomicFile(AtomicFile&& other) noexcept;
    AtomicFile& operator=(AtomicFile&&) = delete;
    ~AtomicFile();

    /// Appends. Fails: io (disk full, ...). After a failure only destroying it makes sense.
    Result<void> write(std::span<const std::byte> bytes);
    Result<void> write(std::string_view text);

    /// Waits until the bytes are on the disk, gives the file its name, and waits for that too. Call once. Fails: io.
    Result<void> commit();

  private:
    AtomicFile(std::filesystem::path path, std::filesystem::path beside, os::FileHandle handle);
    void forget();

    std::filesystem::path path_;
    std::filesystem::path beside_;
    os::FileHandle handle_;
    int place_;  // among those that a signal handler removes
};

/// Removes the new files of all AtomicFiles that are not complete. Async-signal-safe: for a handler that ends the
/// process.
void remove_unfinished_files() noexcept;

}  // namespace atlas
