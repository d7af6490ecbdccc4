#pragma once
// Fetches files over HTTP: resumed, checked, and renamed only when complete.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "tools/models/folder_lock.h"

namespace atlas::tools {

/// The authorities to trust for certificates of servers and proxies; empty: the system's.
struct Authorities {
    std::filesystem::path file;    // PEM
    std::filesystem::path folder;  // as c_rehash makes it
};

struct DownloadRequest {
    std::string url;
    std::string file_name;              // in the locked folder
    std::optional<std::string> sha256;  // hexadecimal; checked when given
    std::optional<uint64_t> bytes;      // checked when given
    std::vector<std::string> headers;   // "Name: value"; on a redirect "Authorization" stays with the first server
};

struct DownloadOptions {
    int tries = 5;                                // without a new byte between them
    std::chrono::milliseconds stall{30000};       // no byte for this long: the connection counts as dead
    std::chrono::milliseconds first_pause{1000};  // before the second try; doubled for each further one
    Authorities authorities;
    std::function<void(uint64_t done_bytes, std::optional<uint64_t> total_bytes)> on_progress;
    std::function<void(uint64_t done_bytes, uint64_t total_bytes)> on_check;  // while a file's SHA-256 is computed
    std::function<void(const std::string& note)> on_note;  // "the connection stalled, try 2 of 5 in 2 s"
    std::stop_token stop;
};

/// Fetches into "NAME.part" and renames when all is there and size and hash of what lies on the disk are right. A part
/// that an earlier call left is continued when the server can and the file there is still the same (Range and If-Range
/// with its ETag), else started over. The lock makes this process the only writer of the part. Returns the SHA-256 in
/// hexadecimal. Fails: network (all tries used, or an HTTP status that refuses), not_found (404), corrupt (wrong size
/// or hash; the part is deleted), io (disk full, with the bytes that are needed), cancelled (the part stays, to be
/// resumed).
Result<std::string> download(const FolderLock& folder, const DownloadRequest& request, const DownloadOptions& options);

struct Page {
    std::string text;
    std::string url;  // after redirects
    std::string content_type;
};

/// Fetches a small text (at most 32 MiB), with the same tries. Fails: network, not_found, limit, cancelled.
Result<Page> fetch_page(const std::string& url, const std::vector<std::string>& headers,
                        const DownloadOptions& options);

}  // namespace atlas::tools
