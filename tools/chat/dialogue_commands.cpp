// The commands that a person can type in a chat.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "runtime/base/in_quotes.h"
#include "runtime/base/small_file.h"
#include "runtime/base/units.h"
#include "tools/chat/dialogue.h"
#include "tools/messages.h"
#include "tools/models/environment.h"
#include "tools/nearest_name.h"

namespace atlas::tools {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMostFileBytes = size_t{4} << 20;

// A path as a shell reads it: ~ is the home folder, and quotes around it are removed.
fs::path typed_path(std::string text) {
    if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front())
        text = text.substr(1, text.size() - 2);
    const auto home = system_environment("HOME");
    if (home && text.starts_with("~/")) return fs::path(*home) / text.substr(2);
    return text;
}

// The same for all names of a file.
fs::path identity_of(const fs::path& file) {
    std::error_code error;
    auto canonical = fs::weakly_canonical(file, error);
    return error ? file : canonical;
}

// A fence of more backticks than the text has in a row.
std::string fence_for(std::string_view text) {
    std::string fence = "```";
    while (text.find(fence) != std::string_view::npos) fence += '`';
    return fence;
}

}  // namespace

std::span<const Dialogue::Command> Dialogue::commands() {
    static const Command kCommands[] = {
        {"/help", "", "Show this text", &Dialogue::show_help},
        {"/retry /again", "", "Answer the last question anew (--seed N: N+1, N+2, ...)", &Dialogue::retry},
        {"/undo", "", "Forget the last question and its answer", &Dialogue::undo},
        {"/clear", "", "Begin a new conversation", &Dialogue::clear},
        {"/system", "[TEXT]", "Show the system message, or set it and start over", &Dialogue::set_system},
        {"/read", "FILE", "Put a file into the next message", &Dialogue::read, true},
        {"/unread", "[FILE]", "Drop a file of /read, or all, from the next message", &Dialogue::unread},
        {"/save", "FILE", "Write the conversation as JSON; /save! replaces a file", &Dialogue::save, true},
        {"/save!", "FILE", "", &Dialogue::save_over, true},
        {"/load", "FILE", "Go on with a conversation that /save wrote", &Dialogue::load, true},
        {"/resume", "", "Go on with the last chat", &Dialogue::resume_last},
        {"/stats", "[on|off]", "Show the last figures; on, off: after each answer", &Dialogue::set_stats},
        {"/bye /exit /quit", "", "Leave, as Ctrl-D does", &Dialogue::leave},
    };
    return kCommands;
}

std::string Dialogue::help() {
    std::string text;
    for (const Command& command : commands()) {
        if (command.help.empty()) continue;
        std::string usage(command.names);
        for (size_t at = 0; (at = usage.find(' ', at)) != std::string::npos; at += 2) usage.replace(at, 1, ", ");
        if (!command.argument.empty()) usage += " " + std::string(command.argument);
        text += fmt::format("  {:<20} {}\n", usage, command.help);
    }
    return text +
           "Pasted lines are one message; Enter sends it. To type several lines, end each\n"
           "with \\, or put them between two lines that hold only \"\"\".\n"
           "Ctrl-C stops the answer; at the prompt it drops the line. What you type while an\n"
           "answer is written is the next message.\n";
}

const Dialogue::Command* Dialogue::find_command(std::string_view name) {
    std::vector<std::string> names;
    for (const Command& command : commands()) {
        for (std::string_view rest = command.names; !rest.empty();) {
            const size_t end = std::min(rest.find(' '), rest.size());
            if (rest.substr(0, end) == name) return &command;
            names.emplace_back(rest.substr(0, end));
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
    }
    const std::string_view meant = nearest_name(name, names);
    print_error({ErrorCode::invalid_argument,
                 fmt::format("unknown command {}{}", printable(name),
                             meant.empty() ? "; /help lists them" : fmt::format("; did you mean {}?", meant))});
    return nullptr;
}

Result<bool> Dialogue::show_help(const std::string&) {
    std::fputs(help().c_str(), stderr);
    return true;
}

Result<bool> Dialogue::clear(const std::string&) {
    const auto way_back = leave_conversation();
    conversation_.clear();
    files_.clear();
    note("a new conversation begins{}", way_back);
    return true;
}

Result<bool> Dialogue::undo(const std::string&) {
    Conversation rest = conversation_;
    if (!rest.undo()) {
        note("there is no question to take back");
        return true;
    }
    const auto way_back = rest.n_messages() == 0 ? leave_conversation() : std::string_view();
    conversation_ = std::move(rest);
    if (conversation_.n_messages() > 0) kept_.keep(conversation_, false);
    note("the last question and its answer are forgotten{}", way_back);
    return true;
}

Result<bool> Dialogue::retry(const std::string&) {
    const Conversation before = conversation_;
    if (!conversation_.reopen()) {
        note("there is no question to answer again");
        return true;
    }
    if (!before.is_open()) ++n_retries_;
    ATLAS_TRY_VOID(answer(before));
    return true;
}

Result<bool> Dialogue::set_system(const std::string& text) {
    if (text.empty()) {
        const std::string& now = conversation_.system();
        if (now.empty())
            note("there is no system message; /system TEXT sets one and starts over");
        else
            note("the system message is {}; /system TEXT sets another and starts over, /system \"\" goes without",
                 in_quotes(now, 2000));
        return true;
    }
    const auto way_back = leave_conversation();
    conversation_.start_over(text == "\"\"" ? "" : text);
    note("the system message is set; the conversation starts over{}",
         way_back.empty() ? "" : "; /resume continues the last one");
    return true;
}

Result<bool> Dialogue::read(const std::string& path) {
    const fs::path file = typed_path(path);
    const auto content = read_small_file(file, kMostFileBytes);
    if (!content) {
        print_error(content.error());
    } else if (content->find('\0') != std::string::npos) {
        print_error({ErrorCode::invalid_argument, in_quotes(file.string(), 200) + " is not text: it holds zero bytes"});
    } else {
        const std::string fence = fence_for(*content);
        ReadFile read{identity_of(file), fmt::format("{}:\n{}\n{}{}{}\n\n", file.filename().string(), fence, *content,
                                                     content->empty() || content->ends_with('\n') ? "" : "\n", fence)};
        const auto known =
            std::find_if(files_.begin(), files_.end(), [&](const ReadFile& other) { return other.path == read.path; });
        const bool is_again = known != files_.end();
        note("{} ({}) goes in front of the next message{}; /unread drops it", in_quotes(file.string(), 200),
             bytes_text(content->size()), is_again ? ", once, as it is now" : "");
        if (is_again)
            *known = std::move(read);
        else
            files_.push_back(std::move(read));
    }
    return true;
}

std::string Dialogue::text_of_files() const {
    std::string text;
    for (const ReadFile& file : files_) text += file.text;
    return text;
}

// What to do when they make a question too long.
std::string Dialogue::advice_on_files() const {
    const auto largest = std::max_element(files_.begin(), files_.end(), [](const ReadFile& a, const ReadFile& b) {
        return a.text.size() < b.text.size();
    });
    if (largest == files_.end()) return {};
    return fmt::format(". Of what /read put in, {} takes most ({}): /unread drops it",
                       in_quotes(largest->path.filename().string(), 200), bytes_text(largest->text.size()));
}

Result<bool> Dialogue::unread(const std::string& path) {
    const size_t n_before = files_.size();
    if (path.empty())
        files_.clear();
    else
        std::erase_if(files_, [wanted = identity_of(typed_path(path))](const ReadFile& f) { return f.path == wanted; });
    const size_t n_dropped = n_before - files_.size();
    if (n_dropped > 0)
        note("{} dropped, {} left for the next message", count_of(n_dropped, "file"), files_.size());
    else if (n_before == 0)
        note("no file waits for the next message");
    else
        print_error({ErrorCode::invalid_argument,
                     fmt::format("{} does not wait for the next message; /unread alone drops all that do",
                                 in_quotes(path, 200))});
    return true;
}

Result<void> Dialogue::save_to(const std::string& path, bool may_replace) {
    const fs::path file = typed_path(path);
    ATLAS_TRY_VOID(save_talk(conversation_, file, may_replace));
    note("saved {} to {}", count_of(conversation_.all().size(), "message"), in_quotes(file.string(), 200));
    return {};
}

Result<bool> Dialogue::save(const std::string& path) {
    if (const auto saved = save_to(path, false); !saved) print_error(saved.error());
    return true;
}

Result<bool> Dialogue::save_over(const std::string& path) {
    if (const auto saved = save_to(path, true); !saved) print_error(saved.error());
    return true;
}

Result<bool> Dialogue::load(const std::string& path) {
    const fs::path file = typed_path(path);
    auto conversation = load_talk(file);
    const auto taken = conversation ? take(std::move(*conversation), file.string())
                                    : Result<void>(tl::unexpected(conversation.error()));
    if (!taken) print_error(taken.error());
    return true;
}

Result<bool> Dialogue::resume_last(const std::string&) {
    if (const auto resumed = resume(); !resumed) print_error(resumed.error());
    return true;
}

Result<bool> Dialogue::set_stats(const std::string& word) {
    if (word == "on" || word == "off") options_.stats = word == "on";
    if (word.empty() || word == "on" || word == "off")
        show_stats();
    else
        print_error({ErrorCode::invalid_argument, fmt::format("/stats {}: expected on or off", printable(word))});
    return true;
}

void Dialogue::show_stats() {
    if (last_report_) replies_.print_figures(*last_report_, true);
    note("figures after each answer are {}; /stats {} changes that", options_.stats ? "on" : "off",
         options_.stats ? "off" : "on");
}

Result<bool> Dialogue::leave(const std::string&) { return false; }

}  // namespace atlas::tools
