// atlas-vk chat: a conversation at the terminal.
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "runtime/base/user_dirs.h"
#include "runtime/text/chat_prompt.h"
#include "tools/answer_report.h"
#include "tools/interrupt.h"
#include "tools/line_editor.h"
#include "tools/messages.h"
#include "tools/models/environment.h"
#include "tools/open_model.h"
#include "tools/prompt.h"
#include "tools/subcommands.h"

namespace atlas::tools {

namespace {

constexpr const char* kHelp =
    "  /help            this text\n"
    "  /clear           forget the conversation\n"
    "  /undo            forget the last question and its answer\n"
    "  /again           answer the last question anew\n"
    "  /system TEXT     set the system message (and start over)\n"
    "  /save FILE       write the conversation as JSON\n"
    "  /stats on|off    a line of speeds after each answer\n"
    "  /exit            leave (as Ctrl-D does)\n"
    "Several lines: end a line with \\ to go on, or put them between two lines that hold only \"\"\".\n"
    "Ctrl-C stops the answer; at the prompt it drops the line.\n";

struct ChatFlags {
    ModelFlags model;
    SamplingFlags sampling;
    SpeculationFlags speculation;
    ReportFlags report;
    std::string system;
};

class Chat {
  public:
    Chat(const ChatFlags& flags, OpenModel& open, const ChatPrompt& chat_prompt, Speculators* speculation, Interrupt& interrupt, LineEditor& editor)
        : flags_(flags), open_(open), chat_prompt_(chat_prompt), speculation_(speculation), interrupt_(interrupt), editor_(editor),
          system_(flags.system), stats_(!flags.report.quiet) {
        clear();
    }

    Result<void> loop() {
        for (;;) {
            interrupt_.reset();
            const auto input = read_message();
            if (input.event == LineEditor::Event::end) break;
            if (input.event == LineEditor::Event::interrupted || input.text.empty()) continue;
            editor_.remember(input.text);
            if (input.text.starts_with('/')) {
                if (!command(input.text)) break;
                continue;
            }
            messages_.push_back({{"role", "user"}, {"content", input.text}});
            ATLAS_TRY_VOID(answer());
        }
        return {};
    }

  private:
    void clear() {
        messages_ = nlohmann::ordered_json::array();
        if (!system_.empty()) messages_.push_back({{"role", "system"}, {"content", system_}});
    }

    bool is_last(const char* role) const { return !messages_.empty() && messages_.back().at("role") == role; }

    // One message, which may be several lines.
    LineEditor::Input read_message() {
        auto input = editor_.read("> ");
        if (input.event != LineEditor::Event::line) return input;
        if (input.text == "\"\"\"") {
            std::string block;
            for (;;) {
                const auto more = editor_.read(". ");
                if (more.event != LineEditor::Event::line) return more;
                if (more.text == "\"\"\"") return {LineEditor::Event::line, block};
                block += (block.empty() ? "" : "\n") + more.text;
            }
        }
        while (input.text.ends_with('\\')) {
            input.text.back() = '\n';
            const auto more = editor_.read(". ");
            if (more.event != LineEditor::Event::line) return more;
            input.text += more.text;
        }
        return input;
    }

    // An answer that fails for a reason of this question (too long) takes the question back; a lost device ends the chat.
    Result<void> answer() {
        auto text = chat_prompt_.render({.messages = messages_});
        if (!text) return fail_in("the chat template", text.error());
        const auto tokens = chat_tokens(*open_.tokenizer, *text);
        GenerateOptions options = generate_options(flags_.sampling);
        options.stop = interrupt_.token();
        options.speculation = speculation_;
        const auto emit = [this](std::string_view piece) {
            std::fwrite(piece.data(), 1, piece.size(), stdout);
            std::fflush(stdout);
            open_.watch->tick();
        };
        const auto report =
            generate(*open_.session, open_.tokenizer, tokens, options, emit, [this](uint32_t, uint32_t) { open_.watch->look(); });
        std::fputc('\n', stdout);
        std::fflush(stdout);
        if (!report) {
            const ErrorCode code = report.error().code;
            if (code != ErrorCode::limit && code != ErrorCode::cancelled && code != ErrorCode::invalid_argument) return fail_in("chat", report.error());
            print_error(report.error());
            if (code == ErrorCode::limit) std::fputs("/clear starts over; a larger --ctx holds more.\n", stderr);
            messages_.erase(messages_.size() - 1);
            return {};
        }
        messages_.push_back({{"role", "assistant"}, {"content", report->text}});
        explain_short_context(*report, *open_.session);
        if (stats_) print_report(*report, flags_.report.verbose);
        return {};
    }

    void undo() {
        if (is_last("assistant")) messages_.erase(messages_.size() - 1);
        if (is_last("user")) messages_.erase(messages_.size() - 1);
    }

    void save(const std::string& path) {
        std::FILE* file = path.empty() ? nullptr : std::fopen(path.c_str(), "wx");
        if (file == nullptr) {
            fmt::print(stderr, "cannot write '{}': {}; an existing file is not overwritten\n", path, path.empty() ? "no name given" : std::strerror(errno));
            return;
        }
        const std::string text = messages_.dump(2) + "\n";
        const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
        if (std::fclose(file) != 0 || !written) fmt::print(stderr, "cannot write all of '{}': {}\n", path, std::strerror(errno));
        else fmt::print(stderr, "saved {} messages to {}\n", messages_.size(), path);
    }

    // False: leave.
    bool command(const std::string& line) {
        const auto space = line.find(' ');
        const std::string name = line.substr(0, space);
        const std::string argument = space == std::string::npos ? "" : line.substr(space + 1);
        if (name == "/exit" || name == "/quit") return false;
        if (name == "/help") {
            std::fputs(kHelp, stderr);
        } else if (name == "/clear") {
            clear();
        } else if (name == "/undo") {
            undo();
        } else if (name == "/again") {
            if (is_last("assistant")) messages_.erase(messages_.size() - 1);
            if (!is_last("user")) std::fputs("there is no question to answer again\n", stderr);
            else if (const auto done = answer(); !done) print_error(done.error());
        } else if (name == "/system") {
            system_ = argument;
            clear();
        } else if (name == "/save") {
            save(argument);
        } else if (name == "/stats") {
            stats_ = argument != "off";
        } else {
            fmt::print(stderr, "unknown command {}; /help lists them\n", name);
        }
        return true;
    }

    const ChatFlags& flags_;
    OpenModel& open_;
    const ChatPrompt& chat_prompt_;
    Speculators* speculation_;
    Interrupt& interrupt_;
    LineEditor& editor_;
    std::string system_;
    bool stats_;
    nlohmann::ordered_json messages_;
};

Result<void> chat(const ChatFlags& flags) {
    Interrupt interrupt;
    ATLAS_TRY(OpenModel open, open_model(flags.model, flags.speculation));
    ATLAS_TRY(const auto chat_prompt, ChatPrompt::open(*open.file));
    if (!chat_prompt.note().empty()) print_note(chat_prompt.note());
    ATLAS_TRY(const auto speculation, make_speculation(flags.speculation, open));
    open.guesses_by(speculation.get());
    const auto dirs = user_dirs(system_environment);
    LineEditor editor(dirs ? dirs->state / "chat_history" : std::filesystem::path());
    if (editor.interactive()) fmt::print(stderr, "{} tokens of context. /help lists commands, Ctrl-D leaves.\n", open.session->n_ctx());
    ATLAS_TRY_VOID(Chat(flags, open, chat_prompt, speculation.get(), interrupt, editor).loop());
    return check_validation(flags.model, open);
}

}  // namespace

void add_chat(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<ChatFlags>();
    CLI::App* command = app.add_subcommand("chat", "Talks with a model at the terminal");
    command->footer(std::string("Inside:\n") + kHelp);
    add_model_flags(*command, flags->model);
    command->add_option("--system", flags->system, "A system message");
    add_report_flags(*command, flags->report);
    add_sampling_flags(*command, flags->sampling);
    add_speculation_flags(*command, flags->speculation);
    command->callback([flags, &exit_code] {
        if (auto done = chat(*flags); !done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
