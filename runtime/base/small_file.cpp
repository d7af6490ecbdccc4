#include "runtime/base/small_file.h"

#include "runtime/base/in_quotes.h"
#include "runtime/base/os.h"

namespace atlas {

Result<std::string> read_small_file(const std::filesystem::path& path, size_t max_bytes) {
    return os::read_regular_file(path, max_bytes);
}

bool only_unreadable(const std::filesystem::path& path, const Error& error) {
    std::error_code ignored;
    return error.code == ErrorCode::io && std::filesystem::is_regular_file(path, ignored);
}

Result<std::filesystem::path> set_aside(const std::filesystem::path& path) {
    std::filesystem::path damaged = path;
    damaged += ".damaged";
    std::error_code error;
    std::filesystem::rename(path, damaged, error);
    if (error) {
        return fail(ErrorCode::io, "cannot rename the damaged file {}: {}; delete it", in_quotes(path.string(), 400),
                    error.message());
    }
    return damaged;
}

}  // namespace atlas
