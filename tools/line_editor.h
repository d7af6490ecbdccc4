#pragma once
// Reads lines from a person: with history and editing on a terminal, plain lines from anything else.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace atlas::tools {

class LineEditor {
  public:
    /// history_file: read now, written after every line; empty: no file.
    explicit LineEditor(std::filesystem::path history_file);
    ~LineEditor();

    enum class Event { line, interrupted, end };
    struct Input {
        Event event = Event::line;
        std::string text;  // without the newline
    };
    /// Shows the prompt (on a terminal) and waits for one line; Ctrl-C gives `interrupted`, Ctrl-D on an empty line `end`.
    Input read(const std::string& prompt);
    void remember(const std::string& entry);
    bool interactive() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace atlas::tools
