#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "runtime/base/os.h"
#include "runtime/base/in_quotes.h"

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

uint64_t page_bytes() { return static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)); }

}  // namespace

Result<Mapping> map_file(const std::filesystem::path& path) {
    // Not blocking: a named pipe without a writer would otherwise hold us here before we can see what it is.
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0) return fail(code_of(errno), "cannot open {}: {}", in_quotes(path.string(), 400), reason(errno));
    struct stat status = {};
    if (::fstat(file.get(), &status) != 0) return fail(ErrorCode::io, "cannot look at {}: {}", in_quotes(path.string(), 400), reason(errno));
    if (S_ISDIR(status.st_mode)) return fail(ErrorCode::io, "{} is a directory; name a file in it", in_quotes(path.string(), 400));
    if (!S_ISREG(status.st_mode)) {
        return fail(ErrorCode::io, "{} is not a regular file (a pipe or a device cannot be mapped); copy it to a file first",
                    in_quotes(path.string(), 400));
    }
    const auto bytes = static_cast<uint64_t>(status.st_size);
    if (bytes == 0) return Mapping{};
    void* data = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (data == MAP_FAILED) return fail(ErrorCode::io, "cannot map {} ({} bytes): {}", in_quotes(path.string(), 400), bytes, reason(errno));
    return Mapping{static_cast<const std::byte*>(data), bytes};
}

void unmap(const Mapping& mapping) {
    if (mapping.data) ::munmap(const_cast<std::byte*>(mapping.data), mapping.bytes);
}

void drop_pages(const std::byte* data, uint64_t bytes) {
    const uint64_t page = page_bytes();
    const auto begin = reinterpret_cast<uintptr_t>(data);
    const uintptr_t first = (begin + page - 1) / page * page;
    const uintptr_t last = (begin + bytes) / page * page;
    // A hint: when the system refuses it, memory stays used a while longer and nothing else changes.
    if (last > first) (void)::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

void prefetch_pages(const std::byte* data, uint64_t bytes) {
    const uint64_t page = page_bytes();
    const auto begin = reinterpret_cast<uintptr_t>(data);
    const uintptr_t first = begin / page * page;
    if (bytes > 0) (void)::madvise(reinterpret_cast<void*>(first), begin + bytes - first, MADV_WILLNEED);
}

}  // namespace atlas::os
