#pragma once
// Ctrl-C as a stop token. Signals belong to the process, so only one Interrupt may exist; libraries make none.

#include <optional>
#include <stop_token>

namespace atlas::tools {

/// While it lives, the first Ctrl-C (or SIGTERM, or SIGHUP) requests a stop; a second one before reset() ends the
/// process with exit_code(). A signal that the process was started to ignore (nohup) stays ignored.
class Interrupt {
  public:
    Interrupt();
    ~Interrupt();
    Interrupt(const Interrupt&) = delete;
    Interrupt& operator=(const Interrupt&) = delete;

    std::stop_token token() const;
    /// The token of the living Interrupt, or nothing.
    static std::optional<std::stop_token> current();
    bool requested() const { return token().stop_requested(); }
    /// The exit code of a program that a signal stopped: 128 plus the number of the first signal since the start or
    /// reset(); 130 before any.
    static int exit_code();
    /// While one lives, the first signal ends the process at once with exit_code(). For times when nothing can be lost:
    /// while input is read and a model is loaded.
    class AtOnce {
      public:
        AtOnce();
        ~AtOnce();
        AtOnce(const AtOnce&) = delete;
        AtOnce& operator=(const AtOnce&) = delete;
    };
    /// Whether SIGTERM or SIGHUP came, which an interactive program obeys by leaving.
    static bool must_leave();
    /// From now on a signal ends the process at once with exit_code() and a message, while no Interrupt lives.
    static void end_at_once_by_default();
    /// Called in the handler before a signal ends the process; null: nothing.
    static void before_exit(void (*hook)());
    /// Forgets a handled Ctrl-C, but not a SIGTERM or SIGHUP; tokens handed out before stay stopped.
    void reset();
};

}  // namespace atlas::tools
