#include "tools/models/file_hash.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "runtime/base/in_quotes.h"
#include "runtime/base/sha256.h"

namespace atlas::tools {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;

Result<FileHash> hash_open_file(int file, const std::string& shown, const std::stop_token& stop) {
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
    }
    result.sha256 = hash.hexadecimal();
    return result;
}

}  // namespace

Result<FileHash> hash_file(const std::filesystem::path& path, const std::stop_token& stop) {
    const std::string shown = in_quotes(path.string(), 400);
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return fail(errno == ENOENT ? ErrorCode::not_found : ErrorCode::io, "cannot open {}: {}", shown,
                    std::strerror(errno));
    auto result = hash_open_file(file, shown, stop);
    ::close(file);
    return result;
}

}  // namespace atlas::tools
