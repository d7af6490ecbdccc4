// atlas-vk fit-cache: writes a model again with fitted rotations: matrices that multiply its keys and values before
// they are rounded for the cache.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "runtime/base/in_quotes.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/units.h"
#include "runtime/gguf/file_error.h"
#include "runtime/gguf/writer.h"
#include "runtime/session/fit/cache_rotation_fit.h"
#include "runtime/text/tokenizer.h"
#include "tools/fit_cache_text.h"
#include "tools/fit_columns.h"
#include "tools/flag_checks.h"
#include "tools/interrupt.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/model_rewrite.h"
#include "tools/open_device.h"
#include "tools/output_file.h"
#include "tools/progress_bar.h"
#include "tools/source_model.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

struct FitFlags {
    std::string in, out, text, device;
    bool force = false;
};

using Turns = std::vector<LayerRotations>;

Result<std::vector<TokenId>> tokens_of(const FitFlags& flags, const Tokenizer& tokenizer) {
    std::string text(kFitCacheText);
    if (!flags.text.empty()) {
        ATLAS_TRY(const MappedFile file, MappedFile::open(flags.text));
        text.assign(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
        ATLAS_TRY_VOID(file.intact());
    }
    auto tokens = tokenizer.encode(text, {.add_special = true, .parse_special = false});
    if (tokens.size() > kFitTokens) tokens.resize(kFitTokens);
    return tokens;
}

constexpr std::chrono::seconds kQuietFor{1}, kLineEvery{10};

Result<std::shared_ptr<const Model>> load(const gguf::File& file, Backend& backend, uint32_t n_tokens) {
    ProgressBar bar("loading");
    return Model::load(file, backend, fit_shape(n_tokens),
                       [&bar](uint64_t done, uint64_t total) { bar.show(done, total); });
}

// A step of 512 tokens takes seconds on a slow device, and nothing is written before all layers are done.
Result<Turns> fit(const gguf::File& file, const FitFlags& flags) {
    const Interrupt::AtOnce nothing_to_lose;
    ATLAS_TRY(const auto tokenizer, Tokenizer::load(file));
    for (const std::string& line : tokenizer->notes()) print_note(line);
    ATLAS_TRY(const auto tokens, tokens_of(flags, *tokenizer));
    ATLAS_TRY(const auto backend, make_vk_backend(device_options(flags.device)));
    ATLAS_TRY(const auto model, load(file, *backend, static_cast<uint32_t>(tokens.size())));
    ProgressBar bar("fitting", {.unit = "steps", .quiet_for = kQuietFor, .line_every = kLineEvery});
    return fit_cache_rotations(*model, tokens, {{}, [&bar](uint32_t done, uint32_t total) { bar.show(done, total); }});
}

// Writes the model's own keys and tensors, and the fitted rotations.
Result<void> write_fitted(const gguf::File& file, const Turns& turns, const FitFlags& flags,
                          const Interrupt& interrupt) {
    ProgressBar bar("writing", {.unit = "", .quiet_for = kQuietFor, .line_every = kLineEvery});
    ModelRewrite rewrite(
        file, [&bar](uint64_t done, uint64_t total) { bar.show(done, total); }, interrupt.token(),
        std::max(std::thread::hardware_concurrency(), 1u));
    gguf::Writer writer;
    for (const gguf::KeyValue& key_value : file.key_values()) {
        if (!key_value.key.starts_with("split.")) writer.add(key_value);
    }
    for (const gguf::TensorInfo& tensor : file.tensors()) {
        if (!tensor.format) {
            return fail(ErrorCode::unsupported, "tensor {} has storage type {}, which this version cannot read",
                        in_quotes(tensor.name), tensor.gguf_type);
        }
        rewrite.add(writer, {&tensor, *tensor.format});
    }
    add_cache_rotations(turns, writer);
    return writer.write(flags.out);
}

Result<void> fit_cache(const FitFlags& flags) {
    const Interrupt interrupt;
    ATLAS_TRY(const auto path, find_model(flags.in));
    auto inputs = model_files(path);
    if (!flags.text.empty()) inputs.emplace_back(flags.text);
    ATLAS_TRY_VOID(check_output(flags.out, inputs, flags.force));
    ATLAS_TRY(const auto file, gguf::File::open(path));
    ATLAS_TRY_VOID(check_source(file));
    const auto turns = fit(file, flags);
    if (!turns) return gguf::fail_with_model(file.path(), turns.error());
    ATLAS_TRY_VOID(write_fitted(file, *turns, flags, interrupt));
    print_fitted(fmt::format("{}: keys and values of {} have fitted rotations, used where --kv-rotation rotates\n",
                             printable(flags.out, 400), count_of(turns->size(), "layer")));
    return {};
}

}  // namespace

void add_fit_cache(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<FitFlags>();
    CLI::App* command = app.add_subcommand(
        "fit-cache", "Write a model again with fitted rotations, which make a small KV cache more exact");
    command->footer(
        "Runs a text, fits rotations to its keys, queries and values, and adds seven small tensors to every layer.\n"
        "With them --kv q4_0 keeps about a fifth of the divergence (KL) that the Hadamard rotation leaves, of\n"
        "Qwen2.5-Coder-0.5B's a sixteenth (bench/results/lavapipe/kv_quality.md).\n"
        "Other programs do not know these tensors.\n"
        "Example:\n  atlas-vk fit-cache model.gguf model-fitted.gguf");
    command->add_option("IN", flags->in, "Read this model: a stored name or a GGUF file")
        ->required()
        ->type_name("FILE");
    command->add_option("OUT", flags->out, "Write this file; it appears when it is complete")
        ->required()
        ->type_name("FILE");
    command
        ->add_option("-f,--file", flags->text,
                     "Fit to this text, of which the first 512 tokens count (default: a built-in one)")
        ->check(input_file("--file"), "")
        ->type_name("TEXT");
    command->add_option("--device", flags->device, "Use this device: its index, a part of its name, or its UUID");
    command->add_flag("--force", flags->force, "Replace OUT if it exists");
    command->callback([flags, &exit_code] {
        if (const auto done = fit_cache(*flags); !done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
