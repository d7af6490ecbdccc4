#include "tools/models/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "runtime/base/in_quotes.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;

constexpr auto kPollEvery = std::chrono::milliseconds(50);

Result<int> open_lock_file(const fs::path& folder) {
    const fs::path path = folder / ".lock";
    for (int attempt = 0;; ++attempt) {
        std::error_code error;
        fs::create_directories(folder, error);
        if (error)
            return fail(ErrorCode::io, "cannot make the folder {}: {}", in_quotes(folder.string(), 400),
                        error.message());
        const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
        struct stat status = {};
        if (file >= 0 && ::fstat(file, &status) == 0 && S_ISREG(status.st_mode)) return file;
        const int reason = errno;
        if (file >= 0) {
            ::close(file);
            return fail(ErrorCode::io, "{} is no regular file: delete it", in_quotes(path.string(), 400));
        }
        // `rm` of another process may delete the folder between the two calls.
        if (reason != ENOENT || attempt >= 100)
            return fail(ErrorCode::io, "cannot open {}: {}", in_quotes(path.string(), 400), std::strerror(reason));
    }
}

// Whether the open file still has its name: `rm` deletes the folder with the lock file in it, and a process that waited
// for that lock would have locked nothing.
bool has_its_name(int file, const fs::path& folder) {
    struct stat opened = {}, named = {};
    return ::fstat(file, &opened) == 0 && ::lstat((folder / ".lock").c_str(), &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

enum class Attempt { locked, busy, stale };

// Tries once to lock an open file. Fails: io.
Result<Attempt> lock(int file, const fs::path& folder) {
    while (::flock(file, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR) continue;
        if (errno == EWOULDBLOCK) return has_its_name(file, folder) ? Attempt::busy : Attempt::stale;
        return fail(ErrorCode::io, "cannot lock {}: {}; set XDG_CACHE_HOME to a folder on a file system that has locks",
                    in_quotes((folder / ".lock").string(), 400), std::strerror(errno));
    }
    return has_its_name(file, folder) ? Attempt::locked : Attempt::stale;
}

}  // namespace

Result<std::optional<FolderLock>> FolderLock::try_take(const fs::path& folder) {
    for (;;) {
        ATLAS_TRY(const int file, open_lock_file(folder));
        FolderLock held(folder, file);
        ATLAS_TRY(const Attempt attempt, lock(file, folder));
        if (attempt == Attempt::locked) return std::optional<FolderLock>(std::move(held));
        if (attempt == Attempt::busy) return std::optional<FolderLock>();
    }
}

Result<FolderLock> FolderLock::take(const fs::path& folder, const std::function<void()>& on_wait,
                                    const std::stop_token& stop) {
    for (bool is_told = false;;) {
        ATLAS_TRY(auto held, try_take(folder));
        if (held) return std::move(*held);
        if (!std::exchange(is_told, true) && on_wait) on_wait();
        if (stop.stop_requested())
            return fail(ErrorCode::cancelled, "stopped while another process was at work on {}",
                        in_quotes(folder.string(), 400));
        std::this_thread::sleep_for(kPollEvery);
    }
}

FolderLock::FolderLock(FolderLock&& other) noexcept
    : folder_(std::move(other.folder_)), file_(std::exchange(other.file_, -1)) {}

void FolderLock::remove_empty_folder() {
    std::error_code ignored;  // a folder that stays does no harm
    fs::directory_iterator entries(folder_, ignored);
    for (const fs::directory_iterator end; !ignored && entries != end; entries.increment(ignored))
        if (entries->path().filename() != ".lock") return;
    if (ignored || fs::is_symlink(fs::symlink_status(folder_, ignored))) return;  // a link is the user's
    fs::remove(folder_ / ".lock", ignored);
    fs::remove(folder_, ignored);
}

FolderLock::~FolderLock() {
    if (file_ >= 0) ::close(file_);
}

}  // namespace atlas::tools
