#pragma once
// Mapped memory whose file became shorter, or whose disk is bad, reads as zeros instead of ending the process; for
// os_posix.cpp only.

#include <atomic>
#include <cstdint>

namespace atlas::os {

/// One range of mapped memory. Ranges are never freed, but used again: a signal handler may walk over them at any time.
struct WatchedRange {
    std::atomic<uintptr_t> begin{0};  // 0: not in use
    std::atomic<uintptr_t> end{0};
    std::atomic<bool> has_lost_pages{false};
    WatchedRange* next = nullptr;
};

/// Watches whole pages from now on; the first call installs a handler for SIGBUS, which leaves every other fault to the
/// handler before it. A page that cannot be read is replaced by zeros, with all that follow it in its range, and
/// has_lost_pages is set before that.
WatchedRange* watch_pages(const void* first, uint64_t bytes);
/// Call before the memory is unmapped.
void unwatch_pages(WatchedRange* range);

}  // namespace atlas::os
