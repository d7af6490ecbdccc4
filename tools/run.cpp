// atlas-vk run: one prompt, one answer.
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "runtime/text/chat_prompt.h"
#include "tools/interrupt.h"
#include "tools/messages.h"
#include "tools/open_model.h"
#include "tools/run_batch.h"
#include "tools/subcommands.h"

namespace atlas::tools {

namespace {

struct RunFlags {
    ModelFlags model;
    SamplingFlags sampling;
    BatchFlags batch;
    SpeculationFlags speculation;
    std::vector<std::string> prompt_words;
    std::string system;
    bool raw = false;
    bool quiet = false;
};

Result<std::string> read_prompt(const RunFlags& flags) {
    std::string prompt;
    for (const std::string& word : flags.prompt_words) prompt += (prompt.empty() ? "" : " ") + word;
    if (prompt == "-" || (prompt.empty() && isatty(STDIN_FILENO) == 0)) {
        prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
    }
    if (prompt.empty()) return fail(ErrorCode::invalid_argument, "no prompt: give one as an argument, or - to read it from stdin");
    return prompt;
}

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

Result<void> run(const RunFlags& flags) {
    Interrupt interrupt;
    ATLAS_TRY(const std::string prompt, read_prompt(flags));
    ATLAS_TRY(OpenModel open, open_model(flags.model, flags.speculation));
    ATLAS_TRY(const auto tokens, prompt_tokens(flags, open, prompt));
    GenerateOptions options = generate_options(flags.sampling);
    options.stop = interrupt.token();
    ATLAS_TRY(const auto speculation, make_speculation(flags.speculation, open));
    options.speculation = speculation.get();
    open.guesses_by(speculation.get());
    bool ends_with_newline = true;
    const auto emit = [&](std::string_view piece) {
        std::fwrite(piece.data(), 1, piece.size(), stdout);
        std::fflush(stdout);
        ends_with_newline = piece.ends_with('\n');
        open.watch->tick();
    };
    ATLAS_TRY(const GenerateReport report,
              generate(*open.session, open.tokenizer, tokens, options, emit, [&](uint32_t, uint32_t) { open.watch->look(); }));
    if (!ends_with_newline) emit("\n");
    if (std::ferror(stdout) != 0) return fail(ErrorCode::io, "cannot write the answer to stdout");
    explain_short_context(report, *open.session);
    if (!flags.quiet) print_report(report);
    ATLAS_TRY_VOID(check_validation(flags.model, open));
    if (report.finish == FinishReason::cancelled) return fail(ErrorCode::cancelled, "stopped");
    return {};
}

Result<void> run_many(const RunFlags& flags) {
    if (!flags.prompt_words.empty()) return fail(ErrorCode::invalid_argument, "a prompt and --prompts: give one of the two");
    return run_batch(flags.model, flags.sampling, flags.speculation, flags.batch,
                     [&](const OpenModel& open, const std::string& prompt) { return prompt_tokens(flags, open, prompt); });
}

}  // namespace

void add_run(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<RunFlags>();
    CLI::App* command = app.add_subcommand("run", "Answers one prompt and exits");
    command->footer("Examples:\n  atlas-vk run -m smollm2-135m \"Name three sorting algorithms.\"\n"
                    "  atlas-vk run -m model.gguf --raw --temperature 0 \"def fibonacci(n):\"\n"
                    "  git diff | atlas-vk run -m smollm2-135m -\n"
                    "  atlas-vk run -m smollm2-135m --prompts questions.txt --parallel 8 > answers.jsonl\n"
                    "The answer goes to stdout, everything else to stderr.");
    add_model_flags(*command, flags->model);
    command->add_option("prompt", flags->prompt_words, "The prompt; - reads it from stdin");
    command->add_option("--system", flags->system, "A system message for the chat template");
    command->add_flag("--raw", flags->raw, "Continue the text as it is, without the chat template");
    command->add_flag("-q,--quiet", flags->quiet, "No line of speeds at the end");
    add_sampling_flags(*command, flags->sampling);
    add_batch_flags(*command, flags->batch);
    add_speculation_flags(*command, flags->speculation);
    command->callback([flags, &exit_code] {
        const auto done = flags->batch.prompts.empty() ? run(*flags) : run_many(*flags);
        if (!done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
