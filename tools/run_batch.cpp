#include "tools/run_batch.h"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "runtime/base/atomic_file.h"
#include "runtime/session/engine.h"
#include "tools/interrupt.h"
#include "tools/messages.h"

namespace atlas::tools {

namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// A line is a text, or {"prompt": "..."} in the manner of JSON lines. Empty lines are left out.
Result<std::vector<std::string>> read_prompts(const std::string& path) {
    std::ifstream file;
    if (path != "-") {
        file.open(path);
        if (!file) return fail(ErrorCode::not_found, "{}: cannot be opened", path);
    }
    std::istream& in = path == "-" ? std::cin : file;
    std::vector<std::string> prompts;
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
        if (line.ends_with('\r')) line.pop_back();
        if (line.empty()) continue;
        if (line.front() != '{') {
            prompts.push_back(line);
            continue;
        }
        const Json parsed = Json::parse(line, nullptr, false);
        if (!parsed.is_object() || !parsed.contains("prompt") || !parsed["prompt"].is_string()) {
            return fail(ErrorCode::corrupt, "{}, line {}: expected a text or an object with a string \"prompt\"", path, number);
        }
        prompts.push_back(parsed["prompt"].get<std::string>());
    }
    if (in.bad()) return fail(ErrorCode::io, "{}: cannot be read to its end", path);
    if (prompts.empty()) return fail(ErrorCode::invalid_argument, "{}: no prompts: expected one on each line", path);
    return prompts;
}

std::string_view words_for(EngineFinish finish) {
    switch (finish) {
        case EngineFinish::end_token: return "complete";
        case EngineFinish::max_tokens: return "max_tokens";
        case EngineFinish::context_full: return "context_full";
        case EngineFinish::cancelled: return "cancelled";
        case EngineFinish::failed: return "failed";
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
    std::string text;
    std::vector<TokenId> tokens;
};

class BatchRun {
  public:
    BatchRun(OpenModel& open, Engine& engine, const SamplingFlags& sampling) : open_(open), engine_(engine), sampling_(sampling), end_tokens_(end_tokens_of(*open.tokenizer)) {}

    Result<void> submit(Prompt prompt, std::stop_token stop) {
        EngineRequest request;
        request.prompt = prompt.tokens;
        request.sampler = generate_options(sampling_).sampler;
        request.max_tokens = sampling_.max_tokens;
        request.end_tokens = end_tokens_;
        request.stop = std::move(stop);
        const auto id = engine_.submit(std::move(request));
        if (!id) return fail_in(fmt::format("prompt {}", prompt.number + 1), id.error());
        prompts_[*id] = std::move(prompt);
        return {};
    }

    Result<void> run() {
        const auto start = Clock::now();
        BudgetWatch watch(*open_.backend, [](const std::string& line) { std::fputc('\n', stderr), print_warning(line); },
                          [this](uint64_t bytes) { return give_back(bytes); });
        while (!engine_.is_idle()) {
            watch.tick();
            ATLAS_TRY_VOID(step());
            for (EngineResult& result : engine_.take_finished()) take(std::move(result));
        }
        for (EngineResult& result : engine_.take_finished()) take(std::move(result));
        seconds_ = seconds_since(start);
        return {};
    }

    Json figures() const {
        const BatchRunner::Counts& counts = engine_.runner().counts();
        const auto rate = [&](uint64_t n) { return seconds_ > 0 ? double(n) / seconds_ : 0.0; };
        return {{"prompts", next_to_print_},
                {"prompt_tokens", prompt_tokens_},
                {"reused_tokens", reused_tokens_},
                {"answer_tokens", answer_tokens_},
                {"seconds", seconds_},
                {"answer_tokens_per_s", rate(answer_tokens_)},
                {"tokens_per_s", rate(prompt_tokens_ + answer_tokens_)},
                {"decode_tokens_per_s", decode_seconds_ > 0 ? double(decode_tokens_) / decode_seconds_ : 0.0},
                {"decode_tokens", decode_tokens_},
                {"guesses", guesses_},
                {"right_guesses", right_guesses_},
                {"steps", counts.steps},
                {"tokens_run", counts.tokens},
                {"padded_tokens", counts.padded_tokens},
                {"preemptions", engine_.n_preemptions()},
                {"pool_tokens", engine_.runner().shape().pool_tokens}};
    }
    uint64_t n_failed() const { return n_failed_; }

  private:
    // Steps of answers alone are timed for themselves, without those that built kernels.
    Result<void> step() {
        const BatchRunner::Counts before = engine_.runner().counts();
        const auto start = Clock::now();
        ATLAS_TRY_VOID(engine_.step());
        const BatchRunner::Counts& after = engine_.runner().counts();
        const uint64_t n_tokens = after.tokens - before.tokens;
        if (after.recordings > before.recordings || n_tokens > after.timelines - before.timelines) return {};
        decode_tokens_ += n_tokens;
        decode_seconds_ += seconds_since(start);
        return {};
    }

    BudgetWatch::GivenBack give_back(uint64_t bytes) {
        const uint32_t before = engine_.runner().shape().pool_tokens;
        const auto given = engine_.give_back(bytes);
        if (!given) warning("the cache could not be made smaller: {}", given.error().message);
        const uint32_t after = engine_.runner().shape().pool_tokens;
        if (after == before) return {given.value_or(0), given.value_or(0) > 0 ? "the draft's cache is smaller now" : ""};
        return {given.value_or(0), fmt::format("the texts share {} tokens of cache now, no longer {}", after, before)};
    }

    void take(EngineResult result) {
        const Prompt& prompt = prompts_[result.id];
        prompt_tokens_ += result.prompt_tokens;
        reused_tokens_ += result.reused_tokens;
        answer_tokens_ += result.answer.size();
        guesses_ += result.proposed_tokens;
        right_guesses_ += result.accepted_tokens;
        Json line{{"prompt", prompt.text}, {"answer", open_.tokenizer->decode(result.answer)}, {"finish", words_for(result.finish)},
                  {"prompt_tokens", result.prompt_tokens}, {"reused_tokens", result.reused_tokens}, {"answer_tokens", result.answer.size()}};
        if (result.error) line["error"] = result.error->message;
        if (result.finish == EngineFinish::failed) ++n_failed_;
        lines_[prompt.number] = line.dump(-1, ' ', false, Json::error_handler_t::replace);
        for (auto it = lines_.find(next_to_print_); it != lines_.end(); it = lines_.find(++next_to_print_)) {
            fmt::print("{}\n", it->second);
            lines_.erase(it);
        }
        std::fflush(stdout);
    }

    OpenModel& open_;
    Engine& engine_;
    const SamplingFlags& sampling_;
    std::vector<TokenId> end_tokens_;
    std::map<RequestId, Prompt> prompts_;
    std::map<size_t, std::string> lines_;  // of answers that came before their turn
    size_t next_to_print_ = 0;
    uint64_t prompt_tokens_ = 0, reused_tokens_ = 0, answer_tokens_ = 0, n_failed_ = 0, guesses_ = 0, right_guesses_ = 0;
    double seconds_ = 0;
    uint64_t decode_tokens_ = 0;
    double decode_seconds_ = 0;
};

Result<void> put_figures(const std::string& to, const Json& figures) {
    const std::string text = figures.dump(1) + "\n";
    if (to == "-") {
        fmt::print("{}", text);
        return {};
    }
    ATLAS_TRY(AtomicFile file, AtomicFile::create(to));
    ATLAS_TRY_VOID(file.write(text));
    return file.commit();
}

// Contexts of the draft's pool at most: who finds no page there gets no guesses of it.
constexpr uint32_t kDraftContexts = 4;

bool is_too_large(const Error& error) { return error.code == ErrorCode::out_of_memory || error.code == ErrorCode::limit; }

Result<std::unique_ptr<Engine>> make_engine(const OpenModel& open, const BatchFlags& flags, const SpeculationFlags& speculation, const BatchShape& wish,
                                            uint32_t draft_contexts) {
    BatchShape shape = wish;
    ATLAS_TRY(auto guesses, make_batch_speculation(speculation, open, shape.max_timelines, draft_contexts));
    shape.max_outputs = guesses ? std::max(shape.max_timelines, kMostTokensAlike) : shape.max_timelines;
    if (flags.pool_tokens > 0) {
        shape.pool_tokens = flags.pool_tokens;
        return Engine::create(open.model, shape, std::move(guesses));
    }
    // As many whole contexts as there are places, or as many as fit: who finds no page waits.
    for (uint32_t contexts = shape.max_timelines;; contexts = (contexts + 1) / 2) {
        shape.pool_tokens = contexts * shape.n_ctx;
        auto runner = BatchRunner::create(open.model, shape);
        if (!runner && is_too_large(runner.error()) && contexts > 1) continue;
        if (!runner) return tl::unexpected(runner.error());
        return Engine::create(std::move(*runner), std::move(guesses));
    }
}

Result<std::unique_ptr<Engine>> make_engine(const OpenModel& open, const BatchFlags& flags, const SpeculationFlags& speculation,
                                            const std::vector<Prompt>& prompts) {
    BatchShape shape;
    shape.kv_format = open.kv;
    shape.n_ctx = open.n_ctx;
    shape.max_timelines = std::min(flags.parallel, static_cast<uint32_t>(prompts.size()));
    shape.n_batch = std::max(512u, shape.max_timelines + kPageTokens);
    for (uint32_t draft_contexts = std::min(shape.max_timelines, kDraftContexts);; draft_contexts /= 2) {
        auto engine = make_engine(open, flags, speculation, shape, draft_contexts);
        if (engine || !open.draft_file || draft_contexts <= 1 || !is_too_large(engine.error())) return engine;
    }
}

}  // namespace

void add_batch_flags(CLI::App& command, BatchFlags& flags) {
    const std::string group = "Many prompts";
    CLI::Option* prompts = command.add_option("--prompts", flags.prompts, "Answer every line of this file (- is stdin): a text, or {\"prompt\": \"...\"}. "
                                              "Answers are lines of JSON on stdout, in order")->group(group);
    command.add_option("--parallel", flags.parallel, "Prompts that are answered at a time")->check(CLI::Range(1u, 256u))->capture_default_str()
        ->group(group)->needs(prompts);
    command.add_option("--pool", flags.pool_tokens, "Tokens of the KV cache that they share (default: a context for each, or what fits)")
        ->check(CLI::PositiveNumber)->group(group)->needs(prompts);
    command.add_option("--json", flags.json, "Write the figures at the end to this file, or - for stdout")->expected(0, 1)->default_str("-")->group(group)
        ->needs(prompts);
}

Result<void> run_batch(const ModelFlags& model, const SamplingFlags& sampling, const SpeculationFlags& speculation, const BatchFlags& flags,
                       const PromptTokens& tokens_of) {
    Interrupt interrupt;
    if (!sampling.stop_strings.empty()) return fail(ErrorCode::invalid_argument, "--stop does not go with --prompts");
    ATLAS_TRY(const auto texts, read_prompts(flags.prompts));
    ATLAS_TRY(OpenModel open, open_without_session(model, speculation));
    std::vector<Prompt> prompts;
    for (const std::string& text : texts) {
        ATLAS_TRY(auto tokens, tokens_of(open, text));
        prompts.push_back({prompts.size(), text, std::move(tokens)});
    }
    ATLAS_TRY(const auto engine, make_engine(open, flags, speculation, prompts));
    BatchRun run(open, *engine, sampling);
    for (Prompt& prompt : prompts) ATLAS_TRY_VOID(run.submit(std::move(prompt), interrupt.token()));
    ATLAS_TRY_VOID(run.run());
    const Json figures = run.figures();
    if (std::ferror(stdout) != 0) return fail(ErrorCode::io, "cannot write the answers to stdout");
    fmt::print(stderr, "[{} prompts, {} tokens ({} reused); answers {} tokens, {:.1f} tokens/s; {} of {} guesses right, {} steps; {:.1f} s]\n", prompts.size(),
               figures["prompt_tokens"].get<uint64_t>(), figures["reused_tokens"].get<uint64_t>(), figures["answer_tokens"].get<uint64_t>(),
               figures["answer_tokens_per_s"].get<double>(), figures["right_guesses"].get<uint64_t>(), figures["guesses"].get<uint64_t>(),
               figures["steps"].get<uint64_t>(), figures["seconds"].get<double>());
    if (!flags.json.empty()) ATLAS_TRY_VOID(put_figures(flags.json, figures));
    ATLAS_TRY_VOID(check_validation(model, open));
    if (run.n_failed() > 0) return fail(ErrorCode::invalid_argument, "{} of {} prompts have no whole answer", run.n_failed(), prompts.size());
    if (interrupt.token().stop_requested()) return fail(ErrorCode::cancelled, "stopped");
    return {};
}

}  // namespace atlas::tools
