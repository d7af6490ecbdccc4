// atlas-vk run: one prompt, one answer.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "runtime/gguf/file_error.h"
#include "runtime/text/chat_prompt.h"
#include "tools/answer_report.h"
#include "tools/flag_checks.h"
#include "tools/interactive_backend.h"
#include "tools/interrupt.h"
#include "tools/messages.h"
#include "tools/open_device.h"
#include "tools/open_model.h"
#include "tools/progress_bar.h"
#include "tools/prompt.h"
#include "tools/run_batch.h"
#include "tools/subcommands.h"

namespace atlas::tools {

namespace {

struct RunFlags {
    ModelFlags model;
    SamplingFlags sampling;
    BatchFlags batch;
    SpeculationFlags speculation;
    ReportFlags report;
    PromptParts prompt;
    std::string system;
    bool raw = false;
};

Result<std::vector<TokenId>> prompt_tokens(const RunFlags& flags, const OpenModel& open, const std::string& prompt) {
    if (flags.raw) return open.tokenizer->encode(prompt, {.add_special = true, .parse_special = false});
    auto messages = nlohmann::ordered_json::array();
    if (!flags.system.empty()) messages.push_back({{"role", "system"}, {"content", flags.system}});
    messages.push_back({{"role", "user"}, {"content", prompt}});
    ATLAS_TRY(const auto chat_prompt, ChatPrompt::open(*open.file));
    if (!chat_prompt.note().empty()) print_note(chat_prompt.note());
    ATLAS_TRY(const std::string text, chat_prompt.render({.messages = messages}));
    return chat_tokens(*open.tokenizer, text);
}

// Writes the answer to stdout as it grows. If that fails, the rest need not be computed.
class AnswerStream {
  public:
    explicit AnswerStream(const std::stop_token& interrupt) : chained_(interrupt, [this] { stop_.request_stop(); }) {}

    void write(std::string_view piece) {
        if (!write_stdout(piece)) stop_.request_stop();
        ends_with_newline_ = piece.ends_with('\n');
    }
    Result<void> finish() {
        if (!ends_with_newline_) write("\n");
        if (std::ferror(stdout) != 0) return fail(ErrorCode::io, "cannot write the answer to stdout");
        return {};
    }
    std::stop_token token() const { return stop_.get_token(); }

  private:
    std::stop_source stop_;
    std::stop_callback<std::function<void()>> chained_;
    bool ends_with_newline_ = true;
};

Result<GenerateReport> answer(const RunFlags& flags, OpenModel& open, const std::vector<TokenId>& tokens,
                              const std::stop_token& stop) {
    ATLAS_TRY(const auto speculation, make_speculation(flags.speculation, open));
    AnswerStream out(stop);
    GenerateOptions options = generate_options(flags.sampling);
    options.stop = out.token();
    options.speculation = speculation.get();
    open.draft_tokens_by(speculation.get());
    ProgressBar reading("reading the prompt", {.unit = "tokens"});
    reading.show(0, tokens.size());
    const auto emit = [&](std::string_view piece) {
        reading.wipe();
        out.write(piece);
        open.watch->tick();
    };
    const auto progress = [&](uint32_t done, uint32_t total) {
        reading.show(done, total);
        open.watch->look();
    };
    const double kernels_before = kernels_ms();
    auto report = generate(*open.session, open.tokenizer, tokens, options, emit, progress);
    if (report) report->kernels_ms = kernels_ms() - kernels_before;
    reading.wipe();
    open.draft_tokens_by(nullptr);
    if (!report) return gguf::fail_with_model(open.file->path(), std::move(report).error());
    ATLAS_TRY_VOID(out.finish());
    return report;
}

Result<void> run(const RunFlags& flags) {
    Interrupt interrupt;
    std::string prompt;
    {
        const Interrupt::AtOnce nothing_to_lose;
        ATLAS_TRY(prompt, read_prompt(flags.prompt));
    }
    ATLAS_TRY(OpenModel open, open_model(flags.model, flags.speculation));
    ATLAS_TRY(const auto tokens, prompt_tokens(flags, open, prompt));
    ATLAS_TRY(const GenerateReport report, answer(flags, open, tokens, interrupt.token()));
    explain_short_context(report, *open.session);
    if (!flags.report.quiet) print_report(report, flags.report.verbose);
    ATLAS_TRY_VOID(check_validation(flags.model, *open.backend));
    if (report.finish == FinishReason::cancelled) return fail(ErrorCode::cancelled, "stopped");
    return {};
}

Result<void> run_many(const RunFlags& flags) {
    return run_batch(
        flags.model, flags.sampling, flags.speculation, flags.batch, flags.report,
        [&](const OpenModel& open, const std::string& prompt) { return prompt_tokens(flags, open, prompt); });
}

void add_prompt_flags(CLI::App& command, RunFlags& flags) {
    auto* words =
        command.add_option("prompt,-p,--prompt", flags.prompt.words,
                           "Answer this prompt. Text on stdin is added to it (see below); a word - says where");
    auto* file = command.add_option("-f,--file", flags.prompt.file, "Add the text of this file to the prompt")
                     ->check(input_file_or_stdin("--file"), "");
    auto* system = command.add_option("--system", flags.system, "Set the system message");
    command.add_flag("--raw", flags.raw, "Continue the text as it is, without the chat template")->excludes(system);
    for (CLI::Option* other : {words, file, command.get_option("--stop")})
        command.get_option("--prompts")->excludes(other);
}

}  // namespace

void add_run(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<RunFlags>();
    CLI::App* command = app.add_subcommand("run", "Answer one prompt and exit");
    command->footer(
        "Examples:\n  atlas-vk run -m smollm2-135m \"Name three sorting algorithms.\"\n"
        "  atlas-vk run -m model.gguf --raw --temperature 0 \"def fibonacci(n):\"\n"
        "  git diff | atlas-vk run -m smollm2-135m \"Write a commit message:\"\n"
        "  atlas-vk run -m smollm2-135m \"Explain:\" - < main.py\n"
        "  atlas-vk run -m smollm2-135m --prompts lines.txt --parallel 8 > answers.jsonl\n"
        "The answer goes to stdout, everything else to stderr.\n"
        "Stdin is added to a prompt when it is a pipe or a file that was given to this command alone. A stdin that the "
        "parent process\n"
        "shares (in a shell's loop, in a script of a CI runner) is left to it, unless - asks for it.");
    add_model_flags(*command, flags->model);
    add_report_flags(*command, flags->report);
    add_sampling_flags(*command, flags->sampling);
    add_batch_flags(*command, flags->batch);
    add_speculation_flags(*command, flags->speculation);
    add_prompt_flags(*command, *flags);
    command->callback([flags, &exit_code] {
        const auto done = flags->batch.prompts.empty() ? run(*flags) : run_many(*flags);
        if (!done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
