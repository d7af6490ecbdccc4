#pragma once
// The person's side of a chat: reads questions and commands until the person leaves.

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/chat/replies.h"
#include "tools/chat/talk_file.h"
#include "tools/interrupt.h"
#include "tools/line_editor.h"

namespace atlas::tools {

struct DialogueOptions {
    std::string system;
    bool stats = true;           // a line of figures after each answer
    bool verbose = false;        // with all of them
    bool resume = false;         // begin with what was kept of the last chat
    std::string resume_command;  // the command that continues after a failure
};

class Dialogue {
  public:
    /// All references must outlive it.
    Dialogue(const DialogueOptions& options, Replies& replies, KeptTalk& kept, Interrupt& interrupt,
             LineEditor& editor);

    /// Until /exit or the end of the input. Fails: cancelled (SIGTERM, SIGHUP), or as the device; the conversation is
    /// kept in each case.
    Result<void> run();

    /// A line for each command.
    static std::string help();

  private:
    struct Command {
        std::string_view names;  // "/retry /again"
        std::string_view argument;
        std::string_view help;
        Result<bool> (Dialogue::*act)(const std::string& argument);  // false: leave
        bool wants_argument = false;
    };
    static std::span<const Command> commands();
    static const Command* find_command(std::string_view name);

    LineEditor::Input read_message();
    LineEditor::Input read_block();
    Result<bool> command(const std::string& line);
    Result<void> put_question(const std::string& text);
    /// false: the question was taken back. `advice` is added to the message if it is too long.
    Result<bool> answer(const Conversation& before, const std::string& advice = {});
    /// Call before the conversation is forgotten. Returns the end of a message: how to go on with it, or nothing.
    std::string_view leave_conversation();
    void offer_last();
    Result<void> resume();
    Result<void> take(Conversation conversation, const std::string& from);

    // dialogue_commands.cpp
    Result<bool> show_help(const std::string&);
    Result<bool> clear(const std::string&);
    Result<bool> undo(const std::string&);
    Result<bool> retry(const std::string&);
    Result<bool> set_system(const std::string& text);
    Result<bool> read(const std::string& path);
    Result<bool> unread(const std::string& path);
    Result<bool> save(const std::string& path);
    Result<bool> save_over(const std::string& path);
    Result<bool> load(const std::string& path);
    Result<bool> resume_last(const std::string&);
    Result<bool> set_stats(const std::string& word);
    void show_stats();
    Result<bool> leave(const std::string&);
    Result<void> save_to(const std::string& path, bool may_replace);

    Replies& replies_;
    KeptTalk& kept_;
    Interrupt& interrupt_;
    LineEditor& editor_;
    DialogueOptions options_;
    Conversation conversation_;
    struct ReadFile {
        std::filesystem::path path;  // canonical: a file that is read again replaces itself
        std::string text;
    };
    std::string text_of_files() const;
    std::string advice_on_files() const;
    std::vector<ReadFile> files_;  // of /read, for the next question
    uint32_t n_retries_ = 0;       // of the last question
    std::optional<KeptTalk::Found> last_;
    std::optional<GenerateReport> last_report_;
    bool said_how_to_leave_ = false;
};

}  // namespace atlas::tools
