#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <mutex>

#include "runtime/base/lost_pages.h"

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

namespace atlas::os {
namespace {

std::atomic<WatchedRange*> g_first{nullptr};
std::mutex g_mutex;  // for changes of the list; the handler only reads it
uintptr_t g_page = 0;
struct sigaction g_before = {};

static_assert(std::atomic<uintptr_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free &&
              std::atomic<WatchedRange*>::is_always_lock_free);

// The range that faults is being read, so no thread unmaps it: its fields read here are consistent.
WatchedRange* range_at(uintptr_t address) {
    for (WatchedRange* range = g_first; range != nullptr; range = range->next) {
        const uintptr_t begin = range->begin;
        if (begin != 0 && address >= begin && address < range->end && range->begin == begin) return range;
    }
    return nullptr;
}

// The instruction runs again, or the signal that another process sent comes again, and meets the handler that was there
// before ours, with its own flags.
void leave_to_handler_before(int number, const siginfo_t& info) {
    ::sigaction(number, &g_before, nullptr);
    if (info.si_code <= 0) (void)::raise(number);
}

extern "C" void on_lost_page(int number, siginfo_t* info, void*) {
    const int saved = errno;
    const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
    WatchedRange* range = info->si_code > 0 ? range_at(address) : nullptr;
    if (range == nullptr) return leave_to_handler_before(number, *info);
    range->has_lost_pages = true;
    const uintptr_t first = address / g_page * g_page;
    // mmap is a plain system call on the systems that we run on, safe here although POSIX does not list it.
    void* zeros = ::mmap(reinterpret_cast<void*>(first), range->end - first, PROT_READ,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (zeros == MAP_FAILED) leave_to_handler_before(number, *info);
    errno = saved;
}

void install_handler() {
    g_page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action = {};
    action.sa_sigaction = on_lost_page;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_SIGINFO;
    ::sigaction(SIGBUS, &action, &g_before);
}

}  // namespace

WatchedRange* watch_pages(const void* first, uint64_t bytes) {
    const std::scoped_lock lock(g_mutex);
    static const bool installed = (install_handler(), true);
    (void)installed;
    WatchedRange* range = g_first;
    while (range != nullptr && range->begin != 0) range = range->next;
    const bool is_new = range == nullptr;
    if (is_new) range = new WatchedRange;
    const auto begin = reinterpret_cast<uintptr_t>(first);
    range->has_lost_pages = false;
    range->end = (begin + bytes + g_page - 1) / g_page * g_page;
    range->begin = begin;
    if (is_new) {
        range->next = g_first;
        g_first = range;
    }
    return range;
}

void unwatch_pages(WatchedRange* range) {
    const std::scoped_lock lock(g_mutex);
    range->begin = 0;
}

}  // namespace atlas::os
