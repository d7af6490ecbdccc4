#pragma once
// Reads what a person types or pastes: with history and editing on a terminal, as plain lines from anything else.

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>

namespace atlas::tools {

/// On a terminal, from the constructor to the destructor: Ctrl-C works during read() and while a TypeAhead lives. What
/// is typed or pasted between two reads is kept whole, tabs and lines of more than the terminal's 4095 bytes included,
/// and is not echoed into an answer. Only one may exist at a time (see TerminalGuard).
class LineEditor {
  public:
    /// history_file: read now, written after every entry; empty: no file. `terminal_name`: the value of $TERM.
    LineEditor(std::filesystem::path history_file, const std::string& terminal_name);
    ~LineEditor();

    enum class Event { line, interrupted, end };
    struct Input {
        Event event = Event::line;
        std::string text;     // without the newline that ended it; with those of a paste
        size_t n_pasted = 0;  // bytes of it up to the end of the last paste that had a newline
    };
    /// Shows the prompt (on a terminal) and waits for one line, or for several where they are pasted: `more_prompt`
    /// stands before all but the first. A stop gives `interrupted`, Ctrl-D on an empty line `end`.
    Input read(const std::string& prompt, const std::string& more_prompt, const std::stop_token& stop);
    /// Adds an entry to the history.
    void remember(const std::string& entry);
    bool interactive() const;
    /// Whether the terminal was closed.
    bool hung_up() const;

    /// While it lives, what arrives is kept for the next read().
    class TypeAhead {
      public:
        explicit TypeAhead(LineEditor& editor);
        ~TypeAhead();
        TypeAhead(const TypeAhead&) = delete;
        TypeAhead& operator=(const TypeAhead&) = delete;

      private:
        LineEditor& editor_;
    };

    static constexpr size_t kMostPasteBytes = size_t{4} << 20;

    struct State;  // public for the callbacks of the library

  private:
    std::unique_ptr<State> state_;
};

}  // namespace atlas::tools
