#pragma once
// Ctrl-C as a stop token. Signals are the process's own, so there is one Interrupt, in main's reach alone.

#include <stop_token>

namespace atlas::tools {

/// While it lives, the first Ctrl-C (or SIGTERM) requests a stop; a second one before reset() ends the process with
/// exit_code().
class Interrupt {
  public:
    Interrupt();
    ~Interrupt();
    Interrupt(const Interrupt&) = delete;
    Interrupt& operator=(const Interrupt&) = delete;

    std::stop_token token() const;
    bool requested() const { return token().stop_requested(); }
    /// What a program returns that a signal stopped: 128 plus its number, of the last signal that came; 130 before any.
    static int exit_code();
    /// Forgets a Ctrl-C that was answered; tokens handed out before stay stopped.
    void reset();
};

}  // namespace atlas::tools
