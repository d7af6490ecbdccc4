#include "tools/terminal.h"

#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "runtime/base/check.h"

namespace atlas::tools {

namespace {

constexpr std::string_view kMarkPastes = "\033[?2004h", kMarkNoPastes = "\033[?2004l";
constexpr int kDeadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGQUIT, SIGPIPE};

// State of the handlers; written before they are set.
termios g_found = {};
int g_output = -1;
bool g_mark_pastes = false;
void (*g_redraw)() = nullptr;
std::atomic<bool> g_active{false};

void put(std::string_view text) {
    if (g_mark_pastes) [[maybe_unused]]
        const auto written = write(g_output, text.data(), text.size());
}

void set_handler(int number, void (*handler)(int), int flags) {
    struct sigaction action = {};
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    action.sa_flags = flags;
    sigaction(number, &action, nullptr);
}

bool has_default(int number) {
    struct sigaction action = {};
    return sigaction(number, nullptr, &action) == 0 && (action.sa_flags & SA_SIGINFO) == 0 &&
           action.sa_handler == SIG_DFL;
}

extern "C" void on_deadly(int number) {  // SA_RESETHAND: the second time it ends the program
    TerminalGuard::restore();
    raise(number);
}

extern "C" void on_resize(int) {
    if (g_redraw != nullptr) g_redraw();
}

// Stops as the default action does, with the terminal restored meanwhile, and continues after SIGCONT.
extern "C" void on_suspend(int number) {
    const int saved = errno;
    termios ours = {};
    const bool known = tcgetattr(STDIN_FILENO, &ours) == 0;
    TerminalGuard::restore();
    set_handler(number, SIG_DFL, 0);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    raise(number);
    pthread_sigmask(SIG_UNBLOCK, &one, nullptr);  // it stops here until SIGCONT
    pthread_sigmask(SIG_BLOCK, &one, nullptr);
    set_handler(number, on_suspend, SA_RESTART);
    if (known) tcsetattr(STDIN_FILENO, TCSADRAIN, &ours);
    put(kMarkPastes);
    if (g_redraw != nullptr) g_redraw();
    errno = saved;
}

}  // namespace

static_assert(std::atomic<bool>::is_always_lock_free);

TerminalGuard::TerminalGuard(int output, bool mark_pastes, void (*redraw)()) {
    ATLAS_CHECK(!g_active, "two TerminalGuards");
    if (tcgetattr(STDIN_FILENO, &g_found) != 0) return;
    g_output = output;
    g_mark_pastes = mark_pastes;
    g_redraw = redraw;
    g_active = true;
    for (const int number : kDeadly) {
        if (has_default(number))
            set_handler(number, on_deadly, static_cast<int>(SA_RESETHAND));  // a sanitizer's own handler stays
    }
    if (has_default(SIGTSTP)) set_handler(SIGTSTP, on_suspend, SA_RESTART);
    if (has_default(SIGWINCH)) set_handler(SIGWINCH, on_resize, SA_RESTART);
    put(kMarkPastes);
}

TerminalGuard::~TerminalGuard() {
    restore();
    g_active = false;
    const auto give_up = [](int number, void (*handler)(int)) {
        struct sigaction action = {};
        if (sigaction(number, nullptr, &action) == 0 && action.sa_handler == handler) set_handler(number, SIG_DFL, 0);
    };
    for (const int number : kDeadly) give_up(number, on_deadly);
    give_up(SIGTSTP, on_suspend);
    give_up(SIGWINCH, on_resize);
}

void TerminalGuard::restore() {
    if (!g_active) return;
    put(kMarkNoPastes);
    // This call would stop a program in the background. Then the terminal belongs to another program and stays
    // unchanged.
    if (tcgetpgrp(STDIN_FILENO) == getpgrp()) tcsetattr(STDIN_FILENO, TCSANOW, &g_found);
}

}  // namespace atlas::tools
