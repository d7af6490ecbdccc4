#pragma once
// What differs between operating systems, for the other files of base/ alone. One os_<system>.cpp implements all of it.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "runtime/base/error.h"

namespace atlas::os {

struct Mapping {
    const std::byte* data = nullptr;  // null for an empty file
    uint64_t bytes = 0;
};

/// Maps a regular file for reading. Fails: not_found, io (a directory, a device, no permission, no address space).
Result<Mapping> map_file(const std::filesystem::path& path);
void unmap(const Mapping& mapping);

/// Hints about a part of a mapping; any range inside it is allowed.
void drop_pages(const std::byte* data, uint64_t bytes);      // only pages that lie wholly inside leave the process
void prefetch_pages(const std::byte* data, uint64_t bytes);  // starts reading them from the disk

}  // namespace atlas::os
