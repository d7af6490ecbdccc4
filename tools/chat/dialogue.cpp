#include "tools/chat/dialogue.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <utility>

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "tools/messages.h"

namespace atlas::tools {

namespace {

constexpr const char* kPrompt = "> ";
constexpr const char* kMorePrompt = ". ";
constexpr std::string_view kBlockMark = "\"\"\"";

// The text that was typed after the last pasted lines, or all of it.
std::string_view typed_part(const LineEditor::Input& input) {
    return std::string_view(input.text).substr(std::min(input.n_pasted, input.text.size()));
}

// Commands are typed, one line: a slash and a word. "/usr/bin/env ..." and "// a comment" are questions.
bool is_command(const LineEditor::Input& input) {
    if (input.n_pasted > 0 || !input.text.starts_with('/')) return false;
    const std::string word = input.text.substr(1, input.text.find_first_of(" \t") - 1);
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '!'; };
    return !word.empty() && std::all_of(word.begin(), word.end(), is_letter);
}

}  // namespace

Dialogue::Dialogue(const DialogueOptions& options, Replies& replies, KeptTalk& kept, Interrupt& interrupt,
                   LineEditor& editor)
    : replies_(replies),
      kept_(kept),
      interrupt_(interrupt),
      editor_(editor),
      options_(options),
      conversation_(options.system) {}

Result<void> Dialogue::run() {
    last_ = kept_.newest();
    if (options_.resume) ATLAS_TRY_VOID(resume());
    if (editor_.interactive()) {
        fmt::print(stderr, "{} tokens of context. /help lists commands, Ctrl-D leaves.\n", replies_.context_tokens());
        if (!options_.resume) offer_last();
    }
    for (;;) {
        interrupt_.reset();
        if (Interrupt::must_leave())
            return fail(ErrorCode::cancelled, "stopped; {} continues this chat", options_.resume_command);
        const auto input = read_message();
        if (input.event == LineEditor::Event::end) break;
        if (input.event == LineEditor::Event::interrupted) {
            if (!Interrupt::must_leave() && !std::exchange(said_how_to_leave_, true)) note("/bye or Ctrl-D leaves");
            continue;
        }
        if (input.text.empty()) continue;
        editor_.remember(input.text);
        if (is_command(input)) {
            ATLAS_TRY(const bool goes_on, command(input.text));
            if (!goes_on) break;
        } else {
            ATLAS_TRY_VOID(put_question(input.text));
        }
    }
    const bool by_itself = !editor_.hung_up();
    // Questions of a script are answered but not kept: ten scripts must not push a person's talks out of the folder.
    if (by_itself && !editor_.interactive())
        kept_.remove();
    else
        kept_.keep(conversation_, by_itself);
    return {};
}

// One message, which may be several lines.
LineEditor::Input Dialogue::read_message() {
    auto input = editor_.read(kPrompt, kMorePrompt, interrupt_.token());
    if (input.event == LineEditor::Event::line && input.text == kBlockMark && input.n_pasted == 0) return read_block();
    while (input.event == LineEditor::Event::line && typed_part(input).ends_with('\\')) {
        input.text.back() = '\n';
        const auto more = editor_.read(kMorePrompt, kMorePrompt, interrupt_.token());
        if (more.event != LineEditor::Event::line) return more;
        if (more.n_pasted > 0) input.n_pasted = input.text.size() + more.n_pasted;
        input.text += more.text;
    }
    return input;
}

// To a line that holds only the mark and was typed: pasted code has such lines, too.
LineEditor::Input Dialogue::read_block() {
    LineEditor::Input block;
    for (bool is_first = true;; is_first = false) {
        const auto more = editor_.read(kMorePrompt, kMorePrompt, interrupt_.token());
        if (more.event != LineEditor::Event::line) return more;
        const bool begins_line =
            more.n_pasted == 0 || (more.n_pasted <= more.text.size() && more.text[more.n_pasted - 1] == '\n');
        const bool is_end = begins_line && typed_part(more) == kBlockMark;
        if (!is_first && !(is_end && more.n_pasted == 0)) block.text += '\n';
        block.text += std::string_view(more.text).substr(0, is_end ? more.n_pasted : more.text.size());
        block.n_pasted = std::max<size_t>(1, block.text.size());  // not a command, even if it begins with a slash
        if (is_end) return block;
    }
}

Result<bool> Dialogue::command(const std::string& line) {
    const auto space = line.find_first_of(" \t");
    std::string name = line.substr(0, space);
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto begin = line.find_first_not_of(" \t", space);
    std::string argument = space == std::string::npos || begin == std::string::npos ? "" : line.substr(begin);
    while (argument.ends_with(' ') || argument.ends_with('\t')) argument.pop_back();
    const Command* known = find_command(name);
    if (known == nullptr) return true;  // reported already
    if (known->wants_argument && argument.empty()) {
        print_error({ErrorCode::invalid_argument, fmt::format("{0} what? Write {0} {1}", name, known->argument)});
        return true;
    }
    if (known->argument.empty() && !argument.empty()) {
        print_error({ErrorCode::invalid_argument,
                     fmt::format("{} takes nothing after it, found {}: nothing was done", name, in_quotes(argument))});
        return true;
    }
    return (this->*known->act)(argument);
}

Result<void> Dialogue::put_question(const std::string& text) {
    const Conversation before = conversation_;
    conversation_.ask(text_of_files() + text);
    n_retries_ = 0;
    ATLAS_TRY(const bool stays, answer(before, advice_on_files()));
    if (stays) files_.clear();
    return {};
}

// An answer that fails for a reason of this question (too long), or is stopped before it begins, leaves the
// conversation as it was before; a lost device ends the chat.
Result<bool> Dialogue::answer(const Conversation& before, const std::string& advice) {
    kept_.keep(conversation_, false);
    const LineEditor::TypeAhead type_ahead(editor_);
    auto report = replies_.answer(conversation_, n_retries_, interrupt_.token());
    if (report) {
        conversation_.answer(report->text);
    } else if (!replies_.text_so_far().empty()) {
        conversation_.answer(replies_.text_so_far());
    }
    if (!report) {
        const ErrorCode code = report.error().code;
        const bool of_question = code == ErrorCode::limit || code == ErrorCode::cancelled ||
                                 code == ErrorCode::invalid_argument ||
                                 code == ErrorCode::unsupported;  // the chat template refuses these messages
        const bool is_taken_back = of_question && conversation_.is_open() && !Interrupt::must_leave();
        if (is_taken_back) conversation_ = before;
        kept_.keep(conversation_, false);
        if (!of_question) {
            if (!kept_.path().empty())
                report.error().message += fmt::format(". {} continues this chat", options_.resume_command);
            return tl::unexpected(report.error());
        }
        if (code == ErrorCode::limit) report.error().message += advice;
        print_error(report.error());
        return !is_taken_back;
    }
    kept_.keep(conversation_, false);
    if (options_.stats) replies_.print_figures(*report, options_.verbose);
    last_report_ = std::move(*report);
    return true;
}

void Dialogue::offer_last() {
    if (!last_ || last_->ended) return;
    note("the last chat ({}, {} ago) was cut short: /resume continues it", count_of(last_->n_messages, "message"),
         duration_text(static_cast<double>(last_->age.count())));
}

Result<void> Dialogue::resume() {
    if (!last_) {
        note("no chat is kept: this one starts from the beginning");
        return {};
    }
    auto conversation = load_talk(last_->path);
    if (!conversation) return tl::unexpected(conversation.error());
    return take(std::move(*conversation), std::string(last_->path));
}

// What follows goes into a new file, so that /resume and --resume still find this conversation. A script's is not kept.
std::string_view Dialogue::leave_conversation() {
    if (!editor_.interactive()) kept_.remove();
    if (!editor_.interactive() || kept_.path().empty() || conversation_.n_messages() == 0) return {};
    kept_.keep(conversation_, true);
    const auto left = kept_.path();
    kept_.begin_new();
    last_ = kept_.newest();
    return last_ && last_->path == left ? "; /resume continues it" : "";
}

// Continues another conversation; the present one stays in its file.
Result<void> Dialogue::take(Conversation conversation, const std::string& from) {
    ATLAS_TRY_VOID(replies_.check(conversation));
    leave_conversation();
    conversation_ = std::move(conversation);
    kept_.keep(conversation_, false);
    const auto& messages = conversation_.messages();
    const std::string& question = messages[messages.size() - (conversation_.is_open() ? 1 : 2)].content;
    note("{} from {}; the last question was {}", count_of(messages.size(), "message"), in_quotes(from, 200),
         in_quotes(question, 200));
    if (conversation_.is_open()) note("it has no answer yet: /retry answers it");
    return {};
}

}  // namespace atlas::tools
