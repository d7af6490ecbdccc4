#pragma once
// The SHA-256 of a file as it lies on the disk.

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include "runtime/base/error.h"

namespace atlas::tools {

struct FileHash {
    uint64_t bytes = 0;
    std::string sha256;  // hexadecimal
};

/// Reads the whole file. Fails: not_found, io (also: no regular file), cancelled.
Result<FileHash> hash_file(const std::filesystem::path& path, const std::stop_token& stop,
                           const std::function<void(uint64_t done_bytes, uint64_t total_bytes)>& progress = {});

}  // namespace atlas::tools
