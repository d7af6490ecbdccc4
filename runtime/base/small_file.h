#pragma once
// Small files that users, other programs or a crash may have damaged: notes, caches, catalogues.

#include <cstddef>
#include <filesystem>
#include <string>

#include "runtime/base/error.h"

namespace atlas {

/// Reads a whole regular file of at most `max_bytes`. It never blocks: a named pipe, a device or a folder is refused,
/// and so is a file that proves longer while it is read (/proc, a link to /dev/zero).
/// Fails: not_found, io (no regular file, no permission, a bad disk), limit (longer than max_bytes).
Result<std::string> read_small_file(const std::filesystem::path& path, size_t max_bytes);

/// Whether `error` of read_small_file is unrelated to the file's content: it is a regular file that could not be opened
/// or read now (no permission, no descriptor left, a bad disk). Such a file is not damaged and stays where it is.
bool only_unreadable(const std::filesystem::path& path, const Error& error);

/// Renames a damaged file to "<path>.damaged" (".damaged.2", ... where that exists: it may be the user's work), so that
/// the program can go on and the user can look at it. Returns the new name. Fails: io.
Result<std::filesystem::path> set_aside(const std::filesystem::path& path);

}  // namespace atlas
