#pragma once
// Stands for a full disk: while it lives, writes beyond `bytes` into any file of this process fail half way, as with
// ENOSPC.

#include <sys/resource.h>

#include <csignal>
#include <cstdint>

namespace atlas {

class FileSizeLimit {
  public:
    explicit FileSizeLimit(uint64_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
        ::getrlimit(RLIMIT_FSIZE, &old_);
        const rlimit limit = {bytes, old_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;
    ~FileSizeLimit() {
        ::setrlimit(RLIMIT_FSIZE, &old_);
        std::signal(SIGXFSZ, old_handler_);
    }

  private:
    rlimit old_ = {};
    void (*old_handler_)(int);
};

}  // namespace atlas
