#include "tools/interrupt.h"

#include <semaphore.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <mutex>
#include <string_view>
#include <system_error>
#include <thread>

#include "runtime/base/atomic_file.h"
#include "runtime/base/check.h"
#include "runtime/base/crash_note.h"
#include "tools/ends_soon.h"

namespace atlas::tools {

namespace {

// A handler may do next to nothing: it counts and wakes a thread by a semaphore, which takes no file; the thread
// requests the stop.
std::atomic<int> g_presses{0};
std::atomic<int> g_signal{SIGINT};
std::atomic<bool> g_ended{false};
sem_t g_wake;
std::atomic<int> g_at_once{0};
std::atomic<void (*)()> g_before_exit{nullptr};
std::atomic<bool> g_terminal{false};
std::atomic<int> g_end_soon{0};
std::atomic<bool> g_keeps_work{false};
std::mutex g_mutex;
std::stop_source g_source;

// Safe in a handler. Begins a new line, because the terminal's last line may hold progress or half an answer.
[[noreturn]] void end_now(int number) {
    if (const auto hook = g_before_exit.load()) hook();
    take_back_crash_notes();
    remove_unfinished_files();
    constexpr std::string_view kWipe = "\r\033[K", kText = "atlas-vk: stopped\n";
    if (g_terminal) [[maybe_unused]]
        const auto wiped = write(STDERR_FILENO, kWipe.data(), kWipe.size());
    [[maybe_unused]] const auto written = write(STDERR_FILENO, kText.data(), kText.size());
    _exit(128 + number);
}

extern "C" void on_signal(int number) {
    const int saved = errno;
    if (g_at_once > 0) end_now(number);
    const int before = g_presses.fetch_add(1);
    // A closing terminal sends SIGHUP itself and through the shell; both count as one.
    if (before > 0 && number != SIGHUP) end_now(number);
    if (before == 0 || number != SIGINT) g_signal = number;
    sem_post(&g_wake);
    errno = saved;
}

extern "C" void on_signal_by_default(int number) { end_now(number); }

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};
std::array<struct sigaction, kSignals.size()> g_before;

void install_handlers(void (*handler)(int)) {
    g_terminal = isatty(STDERR_FILENO) != 0;
    for (size_t i = 0; i < kSignals.size(); ++i) {
        struct sigaction action = {};
        action.sa_handler = handler;
        sigemptyset(&action.sa_mask);
        action.sa_flags = 0;  // no SA_RESTART: reading a line ends with EINTR
        sigaction(kSignals[i], nullptr, &g_before[i]);
        // nohup, and shells that start something in the background, want these ignored.
        if (g_before[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
    }
}

void restore_handlers() {
    for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &g_before[i], nullptr);
}

// Leaves a driver alone that does not return, after a second.
void end_soon() {
    constexpr auto kPause = std::chrono::milliseconds(50);
    for (int i = 0; i < 20; ++i) {
        if (g_ended || g_keeps_work || g_end_soon == 0) return;
        std::this_thread::sleep_for(kPause);
    }
    if (g_end_soon > 0) end_now(g_signal);
}

void watch() {
    for (;;) {
        if (sem_wait(&g_wake) != 0) continue;  // EINTR
        if (g_ended) return;
        {
            const std::scoped_lock lock(g_mutex);
            g_source.request_stop();
        }
        end_soon();
    }
}

std::thread g_watcher;

}  // namespace

static_assert(std::atomic<int>::is_always_lock_free && std::atomic<void (*)()>::is_always_lock_free);

Interrupt::Interrupt() {
    ATLAS_CHECK(!g_watcher.joinable(), "two Interrupts");
    ATLAS_CHECK(sem_init(&g_wake, 0, 0) == 0, "no semaphore: errno {}", errno);
    g_ended = false;
    // If the system has no thread left, signals keep their earlier effect.
    try {
        g_watcher = std::thread(watch);
    } catch (const std::system_error&) {
        sem_destroy(&g_wake);
        return;
    }
    install_handlers(on_signal);
}

Interrupt::~Interrupt() {
    if (!g_watcher.joinable()) return;
    restore_handlers();
    g_ended = true;
    sem_post(&g_wake);
    g_watcher.join();
    sem_destroy(&g_wake);
}

std::stop_token Interrupt::token() const {
    const std::scoped_lock lock(g_mutex);
    return g_source.get_token();
}

std::optional<std::stop_token> Interrupt::current() {
    if (!g_watcher.joinable()) return std::nullopt;
    const std::scoped_lock lock(g_mutex);
    return g_source.get_token();
}

int Interrupt::exit_code() { return 128 + g_signal; }

bool Interrupt::must_leave() { return g_signal != SIGINT; }

void Interrupt::before_exit(void (*hook)()) { g_before_exit = hook; }

void Interrupt::end_at_once_by_default() { install_handlers(on_signal_by_default); }

Interrupt::AtOnce::AtOnce() {
    ++g_at_once;
    if (g_presses > 0) end_now(g_signal);
}

Interrupt::AtOnce::~AtOnce() { --g_at_once; }

EndsSoon::EndsSoon() { ++g_end_soon; }
EndsSoon::~EndsSoon() { --g_end_soon; }
void keep_finished_work() { g_keeps_work = true; }

void Interrupt::reset() {
    const std::scoped_lock lock(g_mutex);
    if (must_leave()) return;
    g_source = std::stop_source();
    g_presses = 0;
}

}  // namespace atlas::tools
