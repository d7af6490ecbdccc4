// atlas-vk bench: how fast a model runs on a device; one from a file, or one with a given shape and random weights.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cctype>
#include <memory>
#include <string>

#include "bench/bench_report.h"
#include "bench/shape_model.h"
#include "bench/speculation_bench.h"
#include "bench/step_profile.h"
#include "quant/recipe.h"
#include "runtime/base/atomic_file.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/json_text.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/os.h"
#include "runtime/model/limits.h"
#include "tools/context_choice.h"
#include "tools/fit_cache_text.h"
#include "tools/fit_columns.h"
#include "tools/flag_checks.h"
#include "tools/interrupt.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/open_device.h"
#include "tools/output_file.h"
#include "tools/shape_flags.h"
#include "tools/speculation_flags.h"
#include "tools/subcommands.h"
#include "tools/terminal_text.h"

namespace atlas::tools {
namespace {

struct BenchFlags {
    std::string model, shape, device, kv = "f16", kv_rotation = "auto", keep_free;
    bench::BenchOptions options;
    std::string csv, json;
    bool force = false;
    bool no_check = false;
    bool no_limits = false;
    bool profile = false;
    bench::SpeculationWish draft_tokens;
    SpeculationFlags speculation;
    bool wants_lookup = false;  // --lookup was given
    std::string text, reference;

    bool measures_drafts() const {
        return !draft_tokens.shares.empty() || !text.empty() || speculation.draft != "none" || wants_lookup;
    }
};

/// What a bench runs on. Destroyed in the right order.
struct Bench {
    std::unique_ptr<gguf::File> file, draft_file;  // file null: a shape
    std::unique_ptr<VkBackend> backend;
    std::shared_ptr<const Tokenizer> tokenizer;  // where draft tokens are measured on a text
    std::shared_ptr<const Model> model;
};

std::string quantization_of(const gguf::File& file) {
    const uint32_t type = file.u32_or("general.file_type", UINT32_MAX);
    for (const Recipe& recipe : recipes()) {
        if (recipe.file_type == type) return std::string(recipe.name);
    }
    return "unknown";
}

/// The files of --csv and --json must not be files that are read.
Result<void> check_reports(const BenchFlags& flags, const std::vector<std::filesystem::path>& inputs) {
    const bool to_files = !flags.csv.empty() && flags.csv != "-" && !flags.json.empty() && flags.json != "-";
    if (to_files && (flags.csv == flags.json || os::same_file(flags.csv, flags.json))) {
        return fail(ErrorCode::invalid_argument, "--csv and --json name the same file");
    }
    for (const std::string& report : {flags.csv, flags.json}) {
        if (!report.empty() && report != "-") ATLAS_TRY_VOID(check_output(report, inputs, flags.force));
    }
    return {};
}

/// All files that these flags name; without the draft of --draft auto, which is not known yet.
Result<std::vector<std::filesystem::path>> inputs_of(const BenchFlags& flags) {
    std::vector<std::filesystem::path> inputs;
    for (const std::string& model : {flags.model, flags.speculation.draft}) {
        if (model.empty() || model == "none" || model == "auto") continue;
        ATLAS_TRY(const auto path, find_model(model));
        for (auto& file : model_files(path)) inputs.push_back(std::move(file));
    }
    for (const std::string& text : {flags.text, flags.reference}) {
        if (!text.empty()) inputs.emplace_back(text);
    }
    inputs.insert(inputs.end(), flags.speculation.lookup.begin(), flags.speculation.lookup.end());
    return inputs;
}

Result<void> load(const BenchFlags& flags, Bench& bench, bench::BenchResult& result) {
    const Interrupt::AtOnce nothing_to_lose;
    SessionShape session;
    session.n_ctx = bench::context_for(flags.options);
    session.kv_format = flags.options.kv;
    if (!flags.shape.empty()) {
        ATLAS_TRY(const bench::ShapeWish wish, bench::find_shape(flags.shape));
        result.model = wish.shape.id;
        result.quantization = wish.quantization;
        ATLAS_TRY(bench.model, bench::load_shape(wish, *bench.backend, session));
        return {};
    }
    ATLAS_TRY(const auto path, find_model(flags.model));
    ATLAS_TRY(gguf::File file, gguf::File::open(path));
    bench.file = std::make_unique<gguf::File>(std::move(file));
    result.model = path.filename().string();
    result.quantization = quantization_of(*bench.file);
    if (flags.measures_drafts()) {
        ATLAS_TRY(bench.tokenizer, Tokenizer::load(*bench.file));
        for (const std::string& line : bench.tokenizer->notes()) print_note(line);
        ATLAS_TRY(bench.draft_file, open_draft_file(flags.speculation, *bench.file, *bench.tokenizer));
        if (bench.draft_file) ATLAS_TRY_VOID(check_reports(flags, model_files(bench.draft_file->path())));
    }
    ATLAS_TRY_VOID(
        fit_context(*bench.file, *bench.backend, session, flags.keep_free, bench.draft_file.get()).map([](const auto&) {
        }));
    ATLAS_TRY(bench.model, Model::load(*bench.file, *bench.backend, session));
    return {};
}

/// Where a report goes: stdout for "-", else a file that appears when it is complete.
Result<void> put(const std::string& to, const std::string& text) {
    if (to == "-") {
        fmt::print("{}", for_stdout(text));
        return {};
    }
    ATLAS_TRY(AtomicFile file, AtomicFile::create(to));
    ATLAS_TRY_VOID(file.write(text));
    return file.commit();
}

void show_progress(const std::string& what) {
    if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\033[K{}", printable(what, 200));
}

Result<std::vector<TokenId>> tokens_of(const std::string& path, const Tokenizer& tokenizer) {
    const Interrupt::AtOnce nothing_to_lose;
    ATLAS_TRY(const MappedFile file, MappedFile::open(path));
    const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
    auto tokens = tokenizer.encode(text, {.add_special = false, .parse_special = false});
    ATLAS_TRY_VOID(file.intact());
    return tokens;
}

/// --speculate, --draft, --lookup and --text: instead of the usual measurements.
Result<void> measure_drafts(BenchFlags& flags, const Bench& bench) {
    bench::SpeculationWish wish = flags.draft_tokens;
    wish.stop = flags.options.stop;
    wish.draft_max = flags.speculation.draft_max;
    wish.n_tokens = flags.options.decode.empty() ? 128 : flags.options.decode.front();
    wish.depth = flags.options.depths.empty() ? 0 : flags.options.depths.front();
    std::unique_ptr<DraftModel> draft;
    if (flags.wants_lookup || flags.speculation.draft != "none" || !flags.text.empty()) {
        const Tokenizer& tokenizer = *bench.tokenizer;
        if (flags.text.empty())
            wish.prompt = tokenizer.encode(kFitCacheText, {.add_special = false, .parse_special = false});
        else
            ATLAS_TRY_VOID(tokens_of(flags.text, tokenizer).map([&](auto tokens) { wish.prompt = std::move(tokens); }));
        if (!flags.reference.empty())
            ATLAS_TRY_VOID(
                tokens_of(flags.reference, tokenizer).map([&](auto tokens) { wish.reference = std::move(tokens); }));
        if (wish.prompt.empty() || (!flags.reference.empty() && wish.reference.empty()))
            return fail(ErrorCode::invalid_argument, "an empty file: nothing to measure on");
        ATLAS_TRY(const auto lookup, make_lookup(flags.speculation, tokenizer));
        if (lookup) {
            wish.make_lookup = [&]() -> Result<std::unique_ptr<Speculator>> {
                ATLAS_TRY(auto fresh, make_lookup(flags.speculation, tokenizer));
                return fresh;
            };
        }
        ATLAS_TRY(draft, make_draft({*bench.backend, *bench.model, bench.draft_file.get(), bench::context_for(wish),
                                     flags.options.kv}));
        wish.draft = draft.get();
        if (!lookup && !draft)
            return fail(ErrorCode::invalid_argument, "nothing to draft with: give --lookup on or a --draft");
    }
    ATLAS_TRY(const auto rows, bench::measure_speculation(bench.model, flags.options.kv, wish));
    print_fitted(bench::markdown(rows));
    return {};
}

/// --profile: instead of the usual measurements.
Result<void> measure_profile(const BenchFlags& flags, VkBackend& backend, const Model& model,
                             bench::BenchResult& result) {
    ATLAS_TRY(result.profile, bench::profile_steps(backend, model, flags.options));
    result.cancelled = flags.options.stop.stop_requested();
    return {};
}

Result<void> measure(BenchFlags& flags) {
    Interrupt interrupt;
    if (flags.model.empty() == flags.shape.empty())
        return fail(ErrorCode::invalid_argument, "give a model (-m) or a shape (--shape), one of the two");
    if (flags.measures_drafts() && flags.speculation.draft_max == 0)
        return fail(ErrorCode::invalid_argument, "--draft-max 0: no draft tokens to measure");
    if (!flags.shape.empty() && flags.measures_drafts() && flags.draft_tokens.shares.empty()) {
        return fail(ErrorCode::invalid_argument,
                    "--draft, --lookup and --text need a model's file (-m); with --shape take --speculate");
    }
    ATLAS_TRY(const auto inputs, inputs_of(flags));
    ATLAS_TRY_VOID(check_reports(flags, inputs));
    ATLAS_TRY(flags.options.kv, kv_formats(flags.kv, flags.kv_rotation));
    flags.options.stop = interrupt.token();
    flags.options.progress = show_progress;

    bench::BenchResult result;
    result.kv_type = flags.kv;
    result.commit = bench::built_from_commit();
    result.version = ATLAS_VERSION;
    if (!flags.no_check && !flags.no_limits) {
        const Interrupt::AtOnce nothing_to_lose;
        show_progress("measuring what the device can do");
        ATLAS_TRY(result.limits, bench::measure_limits(flags.device));
    }
    VkBackendOptions backend_options = device_options(flags.device);
    backend_options.profile = flags.profile;
    backend_options.self_test = result.checked = !flags.no_check;
    Bench bench;
    ATLAS_TRY(bench.backend, make_vk_backend(backend_options));
    VkBackend& backend = *bench.backend;
    result.device = backend.caps().name;
    result.driver = backend.caps().driver_line();
    show_progress("loading");
    ATLAS_TRY_VOID(load(flags, bench, result));
    result.weights_bytes = bench.model->weights_bytes();
    if (flags.measures_drafts()) {
        show_progress("");
        return measure_drafts(flags, bench);
    }
    const auto measured = flags.profile ? measure_profile(flags, backend, *bench.model, result)
                                        : bench::measure_model(bench.model, flags.options, result);
    show_progress("");
    result.rejected.assign(backend.choices().rejected.begin(), backend.choices().rejected.end());
    ATLAS_TRY_VOID(measured);
    if (!flags.csv.empty()) ATLAS_TRY_VOID(put(flags.csv, bench::csv(result)));
    if (!flags.json.empty()) ATLAS_TRY_VOID(put(flags.json, json_text(to_json(result), 1) + "\n"));
    if (flags.csv != "-" && flags.json != "-") print_fitted(bench::markdown(result));
    if (result.cancelled) return fail(ErrorCode::cancelled, "stopped; what is above was measured before");
    return {};
}

// What is measured instead of plain prompts and answers.
void add_speculation_measures(CLI::App& command, BenchFlags& flags) {
    command
        .add_option("--speculate", flags.draft_tokens.shares,
                    "Measure speculative decoding at these rates of acceptance (0.5,0.8,0.95) instead; -n and -d hold")
        ->delimiter(',')
        ->check(number(0, 1), "");
    add_speculation_flags(command, flags.speculation);
    const std::string group = "Speculation";
    command
        .add_option("--text", flags.text,
                    "Measure --lookup and --draft on the text in this file (default: a built-in one)")
        ->check(input_file("--text"), "")
        ->group(group);
    command
        .add_option("--reference", flags.reference,
                    "Take the answer to it from this file (default: the model's own answer, of -n tokens)")
        ->check(input_file("--reference"), "")
        ->group(group)
        ->needs("--text");
    command
        .add_flag("--draft-always", flags.draft_tokens.always,
                  "Check as many draft tokens as --draft-max allows in every step, even where that is slower")
        ->group(group);
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
    constexpr uint32_t kMostColumns = 1u << 16;
    auto flags = std::make_shared<BenchFlags>();
    bench::BenchOptions& options = flags->options;
    CLI::App* command =
        app.add_subcommand("bench", "Measure how fast a model runs, from a file or from a shape with random weights");
    command->footer(
        "--shape needs no file: a catalogue model whose architecture runs, in any quantization, with random weights.\n"
        "Examples:\n  atlas-vk bench -m smollm2-135m\n"
        "  atlas-vk bench --shape qwen2.5-coder-32b:q4_k_m -p 512 -n 128 -d 0,4096\n"
        "  atlas-vk bench --shape llama-2-7b:q4_0 --json result.json\n"
        "  atlas-vk bench -m model.gguf --draft small.gguf --text prompt.txt\n"
        "The context before a measurement at a depth is made by running a prompt of that length.\n"
        "--speculate, --lookup, --draft and --text measure speculative decoding instead: the same answer\n"
        "with and without draft tokens, alternating.");
    add_shape_flags(*command, flags->model, flags->shape, flags->device);
    const auto list = [&](const char* name, std::vector<uint32_t>& values, const char* help, uint32_t most) {
        command->add_option(name, values, help)
            ->delimiter(',')
            ->check(whole_number(0, most), "")
            ->capture_default_str();
    };
    list("-p,--prompt", options.prefill, "Measure prompts of these lengths; 0: none", kMaxContext);
    list("-n,--answer", options.decode, "Measure answers of these lengths; 0: none", kMaxContext);
    list("-d,--depth", options.depths, "Measure them after this many tokens of context", kMaxContext);
    list("--verify", options.verify, "Measure verify steps of this many columns; 0: none", kMostColumns);
    list("--batch", options.batch, "Measure batch steps of this many sequences; 0: none", kMostColumns);
    list("--kernel-tokens", options.kernel_tokens, "Measure single matrix products at these widths; 0: none",
         kMostColumns);
    command->add_option("-r,--repetitions", options.repetitions, "Measure each this many times and take the median")
        ->check(whole_number(1, 1000), "")
        ->capture_default_str();
    add_kv_flags(*command, flags->kv, flags->kv_rotation);
    add_speculation_measures(*command, *flags);
    add_keep_free_flag(*command, flags->keep_free);
    command->add_option("--csv", flags->csv, "Write CSV to this file, or - for stdout")
        ->expected(0, 1)
        ->default_str("-");
    command->add_option("--json", flags->json, "Write JSON to this file, or - for stdout")
        ->expected(0, 1)
        ->default_str("-");
    command->add_flag("--force", flags->force, "Replace the files of --csv and --json if they exist");
    command->add_flag("--no-check", flags->no_check, "Check no result and no limit (for devices that execute nothing)");
    command->add_flag("--profile", flags->profile, "Measure every kernel in steps of --verify columns at -d instead");
    command->add_flag("--no-limits", flags->no_limits, "Do not measure what the device can do at most");
    command->callback([flags, command, &exit_code] {
        flags->wants_lookup = command->count("--lookup") > 0;
        for (std::vector<uint32_t>* values : {&flags->options.prefill, &flags->options.decode, &flags->options.verify,
                                              &flags->options.batch, &flags->options.kernel_tokens}) {
            std::erase(*values, 0u);
        }
        if (const auto done = measure(*flags); !done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
