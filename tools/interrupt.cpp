#include "tools/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <thread>

#include "runtime/base/check.h"

namespace atlas::tools {

namespace {

// A handler may do next to nothing: it counts and wakes a thread through a pipe; the thread requests the stop.
std::atomic<int> g_presses{0};
std::atomic<int> g_signal{SIGINT};
int g_pipe[2] = {-1, -1};
std::mutex g_mutex;
std::stop_source g_source;

extern "C" void on_signal(int number) {
    const int saved = errno;
    g_signal = number;
    if (g_presses.fetch_add(1) > 0) _exit(128 + number);
    const char byte = 1;
    [[maybe_unused]] const auto written = write(g_pipe[1], &byte, 1);
    errno = saved;
}

void set_handler(void (*handler)(int)) {
    struct sigaction action = {};
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    action.sa_flags = 0;  // no SA_RESTART: reading a line ends with EINTR
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

void watch() {
    char byte = 0;
    for (;;) {
        const auto got = read(g_pipe[0], &byte, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0 || byte == 0) return;
        const std::scoped_lock lock(g_mutex);
        g_source.request_stop();
    }
}

std::thread g_watcher;

}  // namespace

static_assert(std::atomic<int>::is_always_lock_free);

Interrupt::Interrupt() {
    ATLAS_CHECK(!g_watcher.joinable(), "two Interrupts");
    ATLAS_CHECK(pipe(g_pipe) == 0, "no pipe: errno {}", errno);
    g_watcher = std::thread(watch);
    set_handler(on_signal);
}

Interrupt::~Interrupt() {
    set_handler(SIG_DFL);
    const char end = 0;
    [[maybe_unused]] const auto written = write(g_pipe[1], &end, 1);
    g_watcher.join();
    close(g_pipe[0]);
    close(g_pipe[1]);
}

std::stop_token Interrupt::token() const {
    const std::scoped_lock lock(g_mutex);
    return g_source.get_token();
}

int Interrupt::exit_code() { return 128 + g_signal; }

void Interrupt::reset() {
    const std::scoped_lock lock(g_mutex);
    g_source = std::stop_source();
    g_presses = 0;
}

}  // namespace atlas::tools
