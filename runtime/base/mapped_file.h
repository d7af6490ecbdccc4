#pragma once
// A file as read-only memory.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "runtime/base/error.h"
#include "runtime/base/os.h"

namespace atlas {

/// Immutable; the bytes live as long as it does. A file that somebody shortens while it is mapped ends the process (SIGBUS):
/// programs that replace a model write beside it and rename, as AtomicFile does.
class MappedFile {
  public:
    /// Fails: not_found, io (what, where, why). An empty file maps to an empty span.
    static Result<MappedFile> open(const std::filesystem::path& path);

    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;
    ~MappedFile();

    std::span<const std::byte> bytes() const { return {mapping_.data, static_cast<size_t>(mapping_.bytes)}; }

    /// Hints; `part` must lie inside bytes(). After release() the bytes can still be read, from the disk cache or the disk.
    void release(std::span<const std::byte> part) const;
    void prefetch(std::span<const std::byte> part) const;
    /// Reads a part from the disk now. Fails: io, where touching it would have ended the process (a bad disk, a shortened file).
    Result<void> populate(std::span<const std::byte> part) const;

  private:
    explicit MappedFile(os::Mapping mapping) : mapping_(mapping) {}
    os::Mapping mapping_;
};

}  // namespace atlas
