// atlas-vk quantize: writes a model again in a smaller storage format, tensor by tensor.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "quant/recipe.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "runtime/gguf/reader.h"
#include "runtime/gguf/writer.h"
#include "runtime/model/load.h"
#include "tools/fit_columns.h"
#include "tools/flag_checks.h"
#include "tools/importance.h"
#include "tools/interrupt.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/model_rewrite.h"
#include "tools/output_file.h"
#include "tools/progress_bar.h"
#include "tools/quantize_plan.h"
#include "tools/source_model.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

struct QuantizeFlags {
    std::string in;
    std::string out;
    std::string recipe;
    std::string importance;
    uint32_t n_threads = std::max(std::thread::hardware_concurrency(), 1u);
    bool dry_run = false;
    bool requantize = false;
    bool force = false;
    bool verbose = false;
    bool quiet = false;
};

// The keys of the source, without those that describe how it was stored.
void copy_keys(const gguf::File& file, const Recipe& recipe, gguf::Writer& writer) {
    constexpr uint32_t kQuantizationVersion = 2;  // of the block layouts; unchanged for years
    for (const gguf::KeyValue& key_value : file.key_values()) {
        if (key_value.key == "general.file_type" || key_value.key == "general.quantization_version" ||
            key_value.key.starts_with("split."))
            continue;
        writer.add(key_value);
    }
    writer.add("general.file_type", recipe.file_type);
    writer.add("general.quantization_version", kQuantizationVersion);
}

void print_lines(const QuantizePlan& plan) {
    std::string lines;
    for (size_t at = 0; at < plan.tensors.size(); ++at) lines += tensor_line(plan, at);
    write_stderr(fitted_to_stderr(lines));
}

Result<void> write_model(const gguf::File& file, const Recipe& recipe, const QuantizePlan& plan,
                         const QuantizeFlags& flags, const Interrupt& interrupt) {
    gguf::Writer writer;
    copy_keys(file, recipe, writer);
    std::optional<ProgressBar> bar;
    if (!flags.quiet)
        bar.emplace(
            "quantizing",
            ProgressStyle{.unit = "", .quiet_for = std::chrono::seconds(1), .line_every = std::chrono::seconds(10)});
    const auto progress = [&bar](uint64_t done, uint64_t total) {
        if (bar) bar->show(done, total);
    };
    ModelRewrite rewrite(file, progress, interrupt.token(), flags.n_threads);
    for (const RewrittenTensor& tensor : plan.tensors) rewrite.add(writer, tensor);
    return writer.write(flags.out);
}

Result<void> quantize(const QuantizeFlags& flags) {
    const auto start = std::chrono::steady_clock::now();
    const Interrupt interrupt;
    const Recipe* recipe = find_recipe(flags.recipe);  // not null: the flag's check has found it
    ATLAS_TRY(const auto path, find_model(flags.in));
    if (!flags.dry_run) {
        auto inputs = model_files(path);
        if (!flags.importance.empty()) inputs.emplace_back(flags.importance);
        ATLAS_TRY_VOID(check_output(flags.out, inputs, flags.force));
    }
    ATLAS_TRY(const auto file, gguf::File::open(path));
    ATLAS_TRY_VOID(check_source(file));
    if (const std::string why = why_it_cannot_run(file); !why.empty() && !flags.quiet)
        note("{}; quantize goes on, but this version will not run the result either", why);
    Importance importance;
    if (!flags.importance.empty()) {
        ATLAS_TRY(importance, read_importance(flags.importance));
    }
    ATLAS_TRY(const QuantizePlan plan, plan_quantize(file, *recipe, importance, flags.requantize));
    if (!flags.quiet && (flags.dry_run || flags.verbose)) print_lines(plan);
    if (!flags.dry_run) {
        ATLAS_TRY_VOID(write_model(file, *recipe, plan, flags, interrupt));
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    print_fitted(fmt::format(
        "{}: {} weights, tensors {} -> {} ({:.2f} bits per weight){}\n", recipe->name, count_text(plan.n_elems),
        bytes_text(plan.in_bytes), bytes_text(plan.out_bytes),
        8.0 * static_cast<double>(plan.out_bytes) / static_cast<double>(std::max<uint64_t>(plan.n_elems, 1)),
        flags.dry_run ? ", nothing written" : ", " + duration_text(seconds)));
    return {};
}

std::string check_recipe(const std::string& name) {
    if (find_recipe(name) != nullptr) return "";
    std::string known;
    for (const Recipe& recipe : recipes()) known += fmt::format(" {}", recipe.name);
    return fmt::format("unknown recipe {}; known are{}", in_quotes(name), known);
}

}  // namespace

void add_quantize(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<QuantizeFlags>();
    CLI::App* command = app.add_subcommand("quantize", "Write a model again in a smaller storage format");
    command
        ->add_option("IN", flags->in,
                     "Read this model: a GGUF file (F32, F16 or BF16), or the first part of a split one")
        ->required()
        ->type_name("FILE");
    command->add_option("OUT", flags->out, "Write this file; it appears when it is complete")
        ->required()
        ->type_name("FILE");
    command
        ->add_option("RECIPE", flags->recipe,
                     "Use these formats: Q4_K_M is the usual choice, Q5_K_M and Q6_K are closer to the "
                     "original, Q8_0 is nearly lossless, Q3_K_M and Q2_K are for when nothing else fits")
        ->required()
        ->check(check_recipe)
        ->type_name("NAME");
    command
        ->add_option("--importance", flags->importance,
                     "Weigh columns by this importance matrix, a GGUF file of llama-imatrix")
        ->check(input_file("--importance"), "")
        ->type_name("FILE");
    command->add_option("--threads", flags->n_threads, "Use this many threads")
        ->check(whole_number(1, 1024), "")
        ->capture_default_str();
    command->add_flag("--dry-run", flags->dry_run,
                      "Show what every tensor would become, and the size, and write nothing");
    command->add_flag("--requantize", flags->requantize, "Convert also tensors that are quantized already");
    command->add_flag("--force", flags->force, "Replace OUT if it exists");
    command->add_flag("-v,--verbose", flags->verbose, "Show what every tensor becomes");
    command->add_flag("-q,--quiet", flags->quiet, "Print the last line only");
    command->callback([flags, &exit_code] {
        if (const auto done = quantize(*flags); !done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
