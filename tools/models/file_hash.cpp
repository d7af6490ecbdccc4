#include "tools/models/file_hash.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "runtime/base/in_quotes.h"
#include "runtime/base/sha256.h"

namespace atlas::tools {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;

using Progress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

Result<FileHash> hash_open_file(int file, const std::string& shown, const std::stop_token& stop,
                                const Progress& progress) {
    struct stat status = {};
    if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode))
        return fail(ErrorCode::io, "{} is no regular file", shown);
    FileHash result;
    Sha256 hash;
    std::vector<char> buffer(kChunkBytes);
    for (;;) {
        if (stop.stop_requested()) return fail(ErrorCode::cancelled, "stopped while checking {}", shown);
        const ssize_t got = ::read(file, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(ErrorCode::io, "cannot read {}: {}", shown, std::strerror(errno));
        if (got == 0) break;
        hash.add(buffer.data(), static_cast<size_t>(got));
        result.bytes += static_cast<uint64_t>(got);
        if (progress) progress(result.bytes, std::max<uint64_t>(result.bytes, static_cast<uint64_t>(status.st_size)));
    }
    result.sha256 = hash.hexadecimal();
    return result;
}

}  // namespace

Result<FileHash> hash_file(const std::filesystem::path& path, const std::stop_token& stop, const Progress& progress) {
    const std::string shown = in_quotes(path.string(), 400);
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return fail(errno == ENOENT ? ErrorCode::not_found : ErrorCode::io, "cannot open {}: {}", shown,
                    std::strerror(errno));
    auto result = hash_open_file(file, shown, stop, progress);
    ::close(file);
    return result;
}

}  // namespace atlas::tools
