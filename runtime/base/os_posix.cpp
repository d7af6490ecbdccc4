#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "runtime/base/in_quotes.h"
#include "runtime/base/lost_pages.h"
#include "runtime/base/os.h"

namespace atlas::os {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

ErrorCode code_of(int error) { return error == ENOENT || error == ENOTDIR ? ErrorCode::not_found : ErrorCode::io; }

/// A file descriptor that closes itself.
class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    int get() const { return number_; }

  private:
    int number_;
};

}  // namespace

namespace {

/// Size in bytes of an open file. Fails: io (no regular file).
Result<uint64_t> regular_size(const Descriptor& file, const std::filesystem::path& path) {
    if (file.get() < 0) return fail(code_of(errno), "cannot open {}: {}", in_quotes(path.string(), 400), reason(errno));
    struct stat status = {};
    if (::fstat(file.get(), &status) != 0)
        return fail(ErrorCode::io, "cannot look at {}: {}", in_quotes(path.string(), 400), reason(errno));
    if (S_ISDIR(status.st_mode))
        return fail(ErrorCode::io, "{} is a directory; name a file in it", in_quotes(path.string(), 400));
    if (!S_ISREG(status.st_mode)) {
        return fail(ErrorCode::io,
                    "{} is not a regular file (a pipe or a device cannot be mapped); copy it to a file first",
                    in_quotes(path.string(), 400));
    }
    return static_cast<uint64_t>(status.st_size);
}

// Not blocking: opening a named pipe without a writer would otherwise hang before its type is known.
constexpr int kReadFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

}  // namespace

Result<std::string> read_regular_file(const std::filesystem::path& path, size_t max_bytes) {
    const Descriptor file(::open(path.c_str(), kReadFlags));
    ATLAS_TRY(const uint64_t bytes, regular_size(file, path));
    const auto too_long = [&] {
        return fail(ErrorCode::limit, "{} is longer than the {} bytes that are expected at most",
                    in_quotes(path.string(), 400), max_bytes);
    };
    if (bytes > max_bytes) return too_long();
    std::string text;
    char buffer[16384];
    for (;;) {
        const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(ErrorCode::io, "cannot read {}: {}", in_quotes(path.string(), 400), reason(errno));
        if (got == 0) return text;
        if (text.size() + static_cast<size_t>(got) > max_bytes) return too_long();
        text.append(buffer, static_cast<size_t>(got));
    }
}

bool same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
    struct stat of_a = {}, of_b = {};
    return ::stat(a.c_str(), &of_a) == 0 && ::stat(b.c_str(), &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

Result<Mapping> map_file(const std::filesystem::path& path) {
    const Descriptor file(::open(path.c_str(), kReadFlags));
    ATLAS_TRY(const uint64_t bytes, regular_size(file, path));
    if (bytes == 0) return Mapping{};
    void* data = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (data == MAP_FAILED)
        return fail(ErrorCode::io, "cannot map {} ({} bytes): {}", in_quotes(path.string(), 400), bytes, reason(errno));
    return Mapping{static_cast<const std::byte*>(data), bytes, watch_pages(data, bytes)};
}

void unmap(const Mapping& mapping) {
    if (!mapping.data) return;
    unwatch_pages(mapping.watch);
    ::munmap(const_cast<std::byte*>(mapping.data), mapping.bytes);
}

bool has_lost_pages(const Mapping& mapping) { return mapping.watch != nullptr && mapping.watch->has_lost_pages; }

namespace {

/// All pages that a range touches. The mapping begins at a page and the system rounds its end up, so they are all in
/// it.
struct Pages {
    void* first;
    size_t bytes;
};
Pages pages_of(const std::byte* data, uint64_t bytes) {
    const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = reinterpret_cast<uintptr_t>(data);
    const uintptr_t first = begin / page * page;
    const uintptr_t last = (begin + bytes + page - 1) / page * page;
    return {reinterpret_cast<void*>(first), last - first};
}

}  // namespace

// Hints: when the system refuses one, memory stays used a while longer or the disk starts later, and nothing else
// changes.
void drop_pages(const std::byte* data, uint64_t bytes) {
    const Pages pages = pages_of(data, bytes);
    (void)::madvise(pages.first, pages.bytes, MADV_DONTNEED);
}

void read_pages_alone(const std::byte* data, uint64_t bytes) {
    const Pages pages = pages_of(data, bytes);
    (void)::madvise(pages.first, pages.bytes, MADV_RANDOM);
}

void prefetch_pages(const std::byte* data, uint64_t bytes) {
    const Pages pages = pages_of(data, bytes);
    (void)::madvise(pages.first, pages.bytes, MADV_WILLNEED);
}

bool populate_pages([[maybe_unused]] const std::byte* data, [[maybe_unused]] uint64_t bytes) {
#ifdef __linux__
    constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ of Linux 5.14, newer than some distributions' headers
    const Pages pages = pages_of(data, bytes);
    while (::madvise(pages.first, pages.bytes, kPopulateRead) != 0) {
        if (errno == EINTR || errno == EAGAIN) continue;
        return errno == EINVAL;  // an older kernel
    }
#endif
    return true;
}

Result<FileHandle> create_file(const std::filesystem::path& path, bool owner_only) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, owner_only ? 0600 : 0666);
    if (file < 0) return fail(code_of(errno), "{}", reason(errno));
    // Where a file system has no locks, leftovers of killed processes stay; nothing else depends on it.
    while (::flock(file, LOCK_EX) != 0 && errno == EINTR) {
    }
    // A sweep that came between these two calls has taken the new file for a leftover: it has no name any longer.
    struct stat status = {};
    if (::fstat(file, &status) == 0 && status.st_nlink > 0) return FileHandle{file};
    ::close(file);
    return create_file(path, owner_only);
}

void remove_abandoned(const std::filesystem::path& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
    // The lock is held until the name is gone, so that create_file can tell.
    if (file.get() >= 0 && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
}

Result<void> write_file(FileHandle file, std::span<const std::byte> bytes, const std::filesystem::path& shown) {
    constexpr size_t kMostAtOnce = size_t{1} << 30;  // Linux writes at most 2 GiB - 4 KiB a call, macOS refuses more
    while (!bytes.empty()) {
        const ssize_t written = ::write(static_cast<int>(file), bytes.data(), std::min(bytes.size(), kMostAtOnce));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0)
            return fail(ErrorCode::io, "cannot write {}: {}", in_quotes(shown.string(), 400), reason(errno));
        bytes = bytes.subspan(static_cast<size_t>(written));
    }
    return {};
}

void take_back_file(FileHandle file, std::string_view text, const char* path) noexcept {
    [[maybe_unused]] const ssize_t written = ::write(static_cast<int>(file), text.data(), text.size());
    ::unlink(path);
}

Result<void> sync_file(FileHandle file, const std::filesystem::path& shown) {
    if (::fsync(static_cast<int>(file)) == 0) return {};
    return fail(ErrorCode::io, "cannot store {} on the disk: {}", in_quotes(shown.string(), 400), reason(errno));
}

Result<void> close_file(FileHandle file, const std::filesystem::path& shown) {
    // Network file systems report a full disk as late as here. After EINTR the descriptor is gone all the same.
    if (::close(static_cast<int>(file)) == 0 || errno == EINTR) return {};
    return fail(ErrorCode::io, "cannot finish {}: {}", in_quotes(shown.string(), 400), reason(errno));
}

Result<void> replace_file(const std::filesystem::path& from, const std::filesystem::path& to) {
    if (::rename(from.c_str(), to.c_str()) != 0) {
        return fail(code_of(errno), "cannot give a new file the name {}: {}", in_quotes(to.string(), 400),
                    reason(errno));
    }
    const auto folder = to.has_parent_path() ? to.parent_path() : std::filesystem::path(".");
    const Descriptor entry(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // Some file systems cannot sync a folder; the file is whole under one of its two names in any case.
    if (entry.get() >= 0) (void)::fsync(entry.get());
    return {};
}

namespace {

Result<std::filesystem::path> user_root(const Environment& environment, const char* variable, const char* below_home) {
    if (const auto value = environment(variable); value && std::filesystem::path(*value).is_absolute())
        return std::filesystem::path(*value);
    std::filesystem::path home;
    if (const auto value = environment("HOME"); value && !value->empty()) {
        home = *value;
    } else if (const passwd* user = ::getpwuid(::getuid()); user && user->pw_dir) {
        home = user->pw_dir;
    }
    if (home.is_absolute()) return home / below_home;
    return fail(ErrorCode::not_found, "no home folder for this user: set {} or HOME", variable);
}

}  // namespace

Result<std::filesystem::path> cache_root(const Environment& environment) {
    return user_root(environment, "XDG_CACHE_HOME", ".cache");
}
Result<std::filesystem::path> config_root(const Environment& environment) {
    return user_root(environment, "XDG_CONFIG_HOME", ".config");
}
Result<std::filesystem::path> state_root(const Environment& environment) {
    return user_root(environment, "XDG_STATE_HOME", ".local/state");
}

}  // namespace atlas::os
