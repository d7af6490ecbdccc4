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
    constexpr int kMost = 100;
    const std::string shown = in_quotes(path.string(), 400);
    std::error_code error;
    const bool is_folder = std::filesystem::is_directory(std::filesystem::symlink_status(path, error));
    for (int number = 1; number <= kMost; ++number) {
        std::filesystem::path damaged = path;
        damaged += number == 1 ? ".damaged" : fmt::format(".damaged.{}", number);
        const auto there = std::filesystem::symlink_status(damaged, error);
        if (std::filesystem::exists(there)) continue;
        std::filesystem::rename(path, damaged, error);
        if (!error) return damaged;
        return fail(ErrorCode::io, "cannot rename the {} {} to {}: {}; delete it",
                    is_folder ? "folder" : "damaged file", shown, in_quotes(damaged.filename().string(), 400),
                    error.message());
    }
    return fail(ErrorCode::io,
                "cannot rename the {} {}: {} older ones are beside it; delete those that you do not need",
                is_folder ? "folder" : "damaged file", shown, kMost);
}

}  // namespace atlas
