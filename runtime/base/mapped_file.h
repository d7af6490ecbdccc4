#pragma once
// A file as read-only memory.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "runtime/base/error.h"
#include "runtime/base/os.h"

namespace atlas {

/// Immutable; the bytes live as long as it does. Where a page cannot be read, because the file was made shorter or the
/// disk is bad, it reads as zeros: callers that used the bytes ask intact() before they trust the result.
class MappedFile {
  public:
    /// Fails: not_found, io (what, where, why). An empty file maps to an empty span.
    static Result<MappedFile> open(const std::filesystem::path& path);

    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;
    ~MappedFile();

    std::span<const std::byte> bytes() const { return {mapping_.data, static_cast<size_t>(mapping_.bytes)}; }

    /// Hints; `part` must lie inside bytes(). After release() the bytes can still be read, from the disk cache or the
    /// disk.
    void release(std::span<const std::byte> part) const;
    void prefetch(std::span<const std::byte> part) const;
    /// A small part that is read by itself: disables the system's read-ahead for it, which may be megabytes.
    void read_alone(std::span<const std::byte> part) const;
    /// Reads a part from the disk now. Fails: io (a bad disk, a file that became shorter), also where intact() fails.
    Result<void> populate(std::span<const std::byte> part) const;
    /// Whether all that was read so far was the file's. Fails: io (names the file).
    Result<void> intact() const;

  private:
    MappedFile(os::Mapping mapping, std::filesystem::path path) : mapping_(mapping), path_(std::move(path)) {}
    tl::unexpected<Error> lost() const;
    os::Mapping mapping_;
    std::filesystem::path path_;
};

}  // namespace atlas
