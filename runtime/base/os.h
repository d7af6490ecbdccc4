#pragma once
// What differs between operating systems, for the other files of base/ only. One os_<system>.cpp implements all of it.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "runtime/base/error.h"
#include "runtime/base/user_dirs.h"

namespace atlas::os {

struct WatchedRange;

struct Mapping {
    const std::byte* data = nullptr;  // null for an empty file
    uint64_t bytes = 0;
    WatchedRange* watch = nullptr;
};

/// Maps a regular file for reading. Fails: not_found, io (a directory, a device, no permission, no address space).
/// Pages that cannot be read (the file became shorter, the disk is bad) read as zeros, and has_lost_pages is set from
/// then on.
Result<Mapping> map_file(const std::filesystem::path& path);
bool has_lost_pages(const Mapping& mapping);
void unmap(const Mapping& mapping);

/// Hints about a part of a mapping; any range inside it is allowed.
void drop_pages(const std::byte* data, uint64_t bytes);      // all pages that it touches leave the process
void prefetch_pages(const std::byte* data, uint64_t bytes);  // starts reading them from the disk
void read_pages_alone(const std::byte* data,
                      uint64_t bytes);  // touching one of them reads no more of the file than that page
/// Reads them from the disk now. False where that failed; where the system cannot do this, nothing happens.
bool populate_pages(const std::byte* data, uint64_t bytes);

/// Reads all of a regular file. Never blocks on a pipe or a device. Fails: not_found, io, limit (longer than
/// max_bytes).
Result<std::string> read_regular_file(const std::filesystem::path& path, size_t max_bytes);

/// Whether both names lead to the same file (device and inode), whatever links lie between. False when one of them does
/// not exist.
bool same_file(const std::filesystem::path& a, const std::filesystem::path& b);

/// Files that are written from start to end. `shown` is the name in messages.
using FileHandle = intptr_t;
inline constexpr FileHandle kNoFile = -1;
/// New: fails, with the reason alone, when the name is taken. Locked until it is closed or the process ends (see
/// remove_abandoned). owner_only: no other user may read it; else the process's mask decides.
Result<FileHandle> create_file(const std::filesystem::path& path, bool owner_only = false);
/// Removes a file made by create_file if the process that made it has ended, which its missing lock shows; else does
/// nothing.
void remove_abandoned(const std::filesystem::path& path);
Result<void> write_file(FileHandle file, std::span<const std::byte> bytes, const std::filesystem::path& shown);
Result<void> sync_file(FileHandle file, const std::filesystem::path& shown);
/// Appends the text and removes the file's name. Async-signal-safe; failures are ignored.
void take_back_file(FileHandle file, std::string_view text, const char* path) noexcept;
Result<void> close_file(FileHandle file, const std::filesystem::path& shown);
/// Gives `from` the name `to`, replacing what was there in one step, and waits until that is on the disk.
Result<void> replace_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// Parents of every program's folders for this user.
Result<std::filesystem::path> cache_root(const Environment& environment);
Result<std::filesystem::path> config_root(const Environment& environment);
Result<std::filesystem::path> state_root(const Environment& environment);

}  // namespace atlas::os
