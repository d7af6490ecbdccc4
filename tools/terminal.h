#pragma once
// The terminal of an interactive program: restored however the program ends.

namespace atlas::tools {

/// While it lives, the terminal of standard input gets its settings back at a deadly signal (SIGSEGV, SIGABRT, SIGPIPE,
/// ...) and while the program is suspended (Ctrl-Z), and pastes come between ESC[200~ and ESC[201~. Only one at a time;
/// it must outlive all code that changes the settings.
class TerminalGuard {
  public:
    /// `output`: a terminal that gets the escape sequences. `mark_pastes`: false for a terminal that does not know
    /// them. `redraw`: called, in a signal handler, when the program goes on or the window's size has changed.
    TerminalGuard(int output, bool mark_pastes, void (*redraw)());
    ~TerminalGuard();
    TerminalGuard(const TerminalGuard&) = delete;
    TerminalGuard& operator=(const TerminalGuard&) = delete;

    /// The settings as they were found. Async-signal-safe; does nothing without a TerminalGuard.
    static void restore();
};

}  // namespace atlas::tools
