#pragma once
// A file that is being downloaded: "NAME.part", and the note "NAME.part.json" that says which remote file it is a part
// of.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "tools/models/download.h"

namespace atlas::tools {

/// Whether a server's ETag or date can be kept and sent back: printable ASCII of sane length.
bool is_version(std::string_view text);

/// The only writer of its file: requires that the caller holds the lock of the folder.
class Part {
  public:
    Part(const std::filesystem::path& target, const DownloadRequest& request, const DownloadOptions& options);
    ~Part();
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;

    /// Continues the part that an earlier call left, if it matches. Anything else under these names is renamed with a
    /// note to the user. Fails: io.
    Result<void> open();
    /// Forgets all bytes; if no others follow, nothing is left on the disk.
    void start_over();
    /// Before the first byte of a body: notes the version (ETag or date) that the bytes belong to; empty: they cannot
    /// be resumed later.
    bool begin(const std::string& version);
    /// False with error() when the disk is full or the server sends too much.
    bool write(const char* data, size_t bytes);
    /// Waits until the bytes are on the disk and compares them with the request. Returns the SHA-256.
    /// Fails: corrupt, io, cancelled.
    Result<std::string> check();
    /// Gives the file its name. Fails: io.
    Result<void> finish();

    uint64_t bytes() const { return bytes_; }
    const std::string& version() const { return version_; }
    const std::optional<Error>& error() const { return error_; }
    /// Whether all bytes are there, so that only the check is missing.
    bool is_all() const { return request_.sha256 && request_.bytes && bytes_ == *request_.bytes; }
    std::optional<uint64_t> total_bytes;

  private:
    bool is_of_request(const std::string& note);
    Result<void> open_file();
    void set_aside_with_a_word(const std::filesystem::path& path, const std::string& why) const;
    Error disk_error(int reason) const;

    const DownloadRequest& request_;
    const DownloadOptions& options_;
    std::filesystem::path target_, path_, note_;
    int file_ = -1;
    uint64_t bytes_ = 0;
    std::string version_;
    std::optional<Error> error_;
};

}  // namespace atlas::tools
