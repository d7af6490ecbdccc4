#include "tools/run_batch.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <new>
#include <nlohmann/json.hpp>

#include "runtime/base/atomic_file.h"
#include "runtime/base/json_text.h"
#include "runtime/base/units.h"
#include "runtime/gguf/file_error.h"
#include "runtime/model/limits.h"
#include "runtime/session/batch/engine.h"
#include "tools/answer_lines.h"
#include "tools/batch_engine.h"
#include "tools/ends_soon.h"
#include "tools/flag_checks.h"
#include "tools/interrupt.h"
#include "tools/messages.h"
#include "tools/open_device.h"
#include "tools/output_file.h"
#include "tools/progress_bar.h"
#include "tools/prompt.h"
#include "tools/prompts_file.h"

namespace atlas::tools {

namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string_view words_for(EngineFinish finish) {
    switch (finish) {
        case EngineFinish::end_token:
            return "complete";
        case EngineFinish::max_tokens:
            return "max_tokens";
        case EngineFinish::context_full:
            return "context_full";
        case EngineFinish::cancelled:
            return "cancelled";
        case EngineFinish::failed:
            return "failed";
    }
    return "";
}

std::vector<TokenId> end_tokens_of(const Tokenizer& tokenizer) {
    std::vector<TokenId> tokens;
    for (TokenId token = 0; token < tokenizer.n_vocab(); ++token) {
        if (tokenizer.is_end_of_generation(token)) tokens.push_back(token);
    }
    return tokens;
}

struct Prompt {
    size_t number = 0;
    std::vector<TokenId> tokens;
};

class BatchRun {
  public:
    BatchRun(OpenModel& open, Engine& engine, const SamplingFlags& sampling, AnswerLines& lines)
        : open_(open),
          engine_(engine),
          sampling_(sampling),
          lines_(lines),
          end_tokens_(end_tokens_of(*open.tokenizer)) {}

    void submit(Prompt prompt, std::stop_token stop) {
        EngineRequest request;
        request.prompt = std::move(prompt.tokens);
        request.sampler = generate_options(sampling_).sampler;
        request.max_tokens = sampling_.max_tokens;
        request.end_tokens = end_tokens_;
        request.stop = std::move(stop);
        const auto id = engine_.submit(std::move(request));
        if (id)
            numbers_[*id] = prompt.number;
        else
            lines_.put_failed(prompt.number, id.error().message);
    }

    /// On every failure, the finished answers have been printed.
    Result<void> run(bool shows_progress) {
        const auto start = Clock::now();
        const auto done = run_steps(shows_progress);
        for (EngineResult& result : engine_.take_finished()) take(std::move(result));
        seconds_ = seconds_since(start);
        return done;
    }

    Json figures() const {
        const StepRunner::Counts& counts = engine_.runner().counts();
        const auto rate = [&](uint64_t n) { return seconds_ > 0 ? double(n) / seconds_ : 0.0; };
        return {{"prompts", n_answers_},
                {"prompt_tokens", prompt_tokens_},
                {"reused_tokens", reused_tokens_},
                {"answer_tokens", answer_tokens_},
                {"seconds", seconds_},
                {"answer_tokens_per_s", rate(answer_tokens_)},
                {"tokens_per_s", rate(prompt_tokens_ + answer_tokens_)},
                {"decode_tokens_per_s", decode_seconds_ > 0 ? double(decode_tokens_) / decode_seconds_ : 0.0},
                {"decode_tokens", decode_tokens_},
                {"draft_tokens", draft_tokens_},
                {"accepted_tokens", accepted_tokens_},
                {"steps", counts.steps},
                {"tokens_run", counts.tokens},
                {"padded_tokens", counts.padded_tokens},
                {"preemptions", engine_.n_preemptions()},
                {"pool_tokens", engine_.runner().shape().pool_tokens}};
    }

  private:
    Result<void> run_steps(bool shows_progress) {
        BudgetWatch watch(
            *open_.backend, [](const std::string& line) { print_warning(line); },
            [this](uint64_t bytes) { return shrink(bytes); });
        std::optional<ProgressBar> bar;
        if (shows_progress) bar.emplace("answering", ProgressStyle{.unit = "prompts"});
        while (!engine_.is_idle()) {
            watch.tick();
            ATLAS_TRY_VOID(step());
            for (EngineResult& result : engine_.take_finished()) take(std::move(result));
            if (!lines_.can_write()) return fail(ErrorCode::io, "cannot write the answers to stdout");
            if (bar) bar->show(n_answers_, numbers_.size());
        }
        return {};
    }

    // Steps without prefill are timed separately, without those that built kernels.
    Result<void> step() {
        const StepRunner::Counts before = engine_.runner().counts();
        const auto start = Clock::now();
        try {
            if (const auto done = engine_.step(); !done) return gguf::fail_with_model(open_.file->path(), done.error());
        } catch (const std::bad_alloc&) {
            return fail(ErrorCode::out_of_memory, "the system has no memory left");
        }
        const StepRunner::Counts& after = engine_.runner().counts();
        const uint64_t n_tokens = after.tokens - before.tokens;
        if (after.recordings > before.recordings || n_tokens > after.timelines - before.timelines) return {};
        decode_tokens_ += n_tokens;
        decode_seconds_ += seconds_since(start);
        return {};
    }

    BudgetWatch::GivenBack shrink(uint64_t bytes) {
        const uint32_t before = engine_.runner().shape().pool_tokens;
        const auto given = engine_.shrink(bytes);
        if (!given) warning("the cache could not be made smaller: {}", given.error().message);
        const uint32_t after = engine_.runner().shape().pool_tokens;
        if (after == before)
            return {given.value_or(0), given.value_or(0) > 0 ? "the draft's cache is smaller now" : ""};
        return {given.value_or(0), fmt::format("the texts share {} tokens of cache now, no longer {}", after, before)};
    }

    void take(EngineResult result) {
        prompt_tokens_ += result.prompt_tokens;
        reused_tokens_ += result.reused_tokens;
        answer_tokens_ += result.answer.size();
        draft_tokens_ += result.proposed_tokens;
        accepted_tokens_ += result.accepted_tokens;
        if (result.finish != EngineFinish::failed) ++n_answers_;
        Json rest{{"answer", open_.tokenizer->decode(result.answer)},
                  {"finish", words_for(result.finish)},
                  {"prompt_tokens", result.prompt_tokens},
                  {"reused_tokens", result.reused_tokens},
                  {"answer_tokens", result.answer.size()}};
        if (result.error) {
            rest["error"] = gguf::fail_with_model(open_.file->path(), std::move(*result.error)).value().message;
        }
        lines_.put(numbers_[result.id], rest);
    }

    OpenModel& open_;
    Engine& engine_;
    const SamplingFlags& sampling_;
    AnswerLines& lines_;
    std::vector<TokenId> end_tokens_;
    std::map<RequestId, size_t> numbers_;  // of their prompts
    uint64_t prompt_tokens_ = 0, reused_tokens_ = 0, answer_tokens_ = 0, n_answers_ = 0, draft_tokens_ = 0,
             accepted_tokens_ = 0;
    double seconds_ = 0;
    uint64_t decode_tokens_ = 0;
    double decode_seconds_ = 0;
};

// The figures go there when --json names no file: stdout has the answers.
constexpr const char* kStderr = "/dev/stderr";

Result<void> put_figures(const std::string& to, const Json& figures) {
    const std::string text = json_text(figures, 1) + "\n";
    if (to == kStderr) {
        write_stderr(text);
        return {};
    }
    if (to == "-") {
        fmt::print("{}", text);
        return {};
    }
    ATLAS_TRY(AtomicFile file, AtomicFile::create(to));
    ATLAS_TRY_VOID(file.write(text));
    return file.commit();
}

}  // namespace

void add_batch_flags(CLI::App& command, BatchFlags& flags) {
    const std::string group = "Many prompts";
    CLI::Option* prompts =
        command
            .add_option("--prompts", flags.prompts,
                        "Answer every line of this file (- is stdin): a text, or {\"prompt\": \"...\"}. "
                        "Answers are lines of JSON on stdout, in order")
            ->check(input_file_or_stdin("--prompts"), "")
            ->group(group);
    command.add_option("--parallel", flags.parallel, "Answer this many prompts at a time")
        ->check(whole_number(1, 256), "")
        ->capture_default_str()
        ->group(group)
        ->needs(prompts);
    command
        .add_option("--pool", flags.pool_tokens,
                    "Share a KV cache of this many tokens (default: a context for each, or what fits)")
        ->check(whole_number(1, kMaxContext), "")
        ->group(group)
        ->needs(prompts);
    CLI::Option* json =
        command
            .add_option("--json", flags.json,
                        "Write the figures at the end to this file, or - for stdout; without one to stderr")
            ->expected(0, 1)
            ->default_str(kStderr)
            ->group(group)
            ->needs(prompts);
    command.add_flag("--force", flags.force, "Replace the file of --json if it exists")->group(group)->needs(json);
}

namespace {

void print_figures(const Json& figures, bool verbose) {
    const auto n = [&](const char* name) { return figures[name].get<uint64_t>(); };
    const auto real = [&](const char* name) { return figures[name].get<double>(); };
    const std::string prompts = count_of(n("prompts"), "prompt");
    if (!verbose) {
        write_stderr(fmt::format("[{}, {}, {:.1f} tokens/s]\n", prompts, count_of(n("answer_tokens"), "token"),
                                 real("answer_tokens_per_s")));
        return;
    }
    write_stderr(fmt::format("[{}, {} ({} reused); answers {}, {:.1f} tokens/s; {} of {} accepted, {}; {:.1f} s]\n",
                             prompts, count_of(n("prompt_tokens"), "token"), n("reused_tokens"),
                             count_of(n("answer_tokens"), "token"), real("answer_tokens_per_s"), n("accepted_tokens"),
                             count_of(n("draft_tokens"), "draft token"), count_of(n("steps"), "step"),
                             real("seconds")));
}

// The prompts that can become tokens; the others get their lines here.
std::vector<Prompt> encode(const OpenModel& open, const std::vector<PromptLine>& read, const PromptTokens& tokens_of,
                           AnswerLines& lines) {
    std::vector<Prompt> prompts;
    for (size_t number = 0; number < read.size(); ++number) {
        if (!read[number].error.empty()) {
            lines.put_failed(number, read[number].error);
            continue;
        }
        auto tokens = tokens_of(open, read[number].text);
        if (tokens)
            prompts.push_back({number, std::move(*tokens)});
        else
            lines.put_failed(number, tokens.error().message);
    }
    return prompts;
}

struct Batch {
    const ModelFlags& model;
    const SamplingFlags& sampling;
    const SpeculationFlags& speculation;
    const BatchFlags& flags;
    const ReportFlags& report;
};

Result<void> answer(const Batch& batch, OpenModel& open, std::vector<Prompt> prompts, AnswerLines& lines,
                    const std::stop_token& stop) {
    if (prompts.empty()) return {};
    ATLAS_TRY(const auto engine, make_engine(open, batch.flags, batch.speculation, prompts.size()));
    BatchRun run(open, *engine, batch.sampling, lines);
    for (Prompt& prompt : prompts) run.submit(std::move(prompt), stop);
    const bool shows_progress = !batch.report.quiet && isatty(STDOUT_FILENO) == 0;
    const auto done = run.run(shows_progress);
    const Json figures = run.figures();
    if (!batch.report.quiet) print_figures(figures, batch.report.verbose);
    if (!batch.flags.json.empty()) ATLAS_TRY_VOID(put_figures(batch.flags.json, figures));
    return done;
}

// The files that this command reads, without the model.
std::vector<std::filesystem::path> inputs_of(const Batch& batch) {
    std::vector<std::filesystem::path> inputs{batch.flags.prompts, batch.speculation.draft};
    inputs.insert(inputs.end(), batch.speculation.lookup.begin(), batch.speculation.lookup.end());
    return inputs;
}

Result<void> check_figures_file(const Batch& batch, const OpenModel* open) {
    const std::string& out = batch.flags.json;
    if (out.empty() || out == "-" || out == kStderr) return {};
    if (open == nullptr) return check_output(out, inputs_of(batch), batch.flags.force);
    auto inputs = model_files(open->file->path());
    if (open->draft_file) {
        const auto more = model_files(open->draft_file->path());
        inputs.insert(inputs.end(), more.begin(), more.end());
    }
    return check_output(out, inputs, batch.flags.force);
}

Result<void> run_batch(const Batch& batch, const PromptTokens& tokens_of) {
    Interrupt interrupt;
    ATLAS_TRY_VOID(check_figures_file(batch, nullptr));
    std::vector<PromptLine> read;
    {
        const Interrupt::AtOnce nothing_to_lose;
        ATLAS_TRY(read, read_prompts(batch.flags.prompts));
    }
    std::vector<std::string> texts;
    for (const PromptLine& line : read) texts.push_back(line.text);
    const SessionShape wish = engine_shape(batch.flags, batch.speculation, read.size());
    ATLAS_TRY(OpenModel open, open_without_session(batch.model, batch.speculation, wish, [&](const OpenModel& files) {
                  return check_figures_file(batch, &files);
              }));
    AnswerLines lines(texts, stdout);
    keep_finished_work();
    auto prompts = encode(open, read, tokens_of, lines);
    auto done = answer(batch, open, std::move(prompts), lines, interrupt.token());
    lines.fail_rest(done ? "" : done.error().message);
    if (!lines.can_write()) done = fail(ErrorCode::io, "cannot write the answers to stdout");
    const size_t n_missing = texts.size() - lines.n_answered();
    const std::string missing = fmt::format("{} of {} prompts have no whole answer", n_missing, texts.size());
    if (!done) return fail_in(missing, done.error());
    ATLAS_TRY_VOID(check_validation(batch.model, *open.backend));
    if (interrupt.requested()) return fail(ErrorCode::cancelled, "stopped");
    if (n_missing > 0) return fail(ErrorCode::limit, "{}; their lines say why", missing);
    return {};
}

}  // namespace

Result<void> run_batch(const ModelFlags& model, const SamplingFlags& sampling, const SpeculationFlags& speculation,
                       const BatchFlags& flags, const ReportFlags& report, const PromptTokens& tokens_of) {
    return run_batch({model, sampling, speculation, flags, report}, tokens_of);
}

}  // namespace atlas::tools
