// atlas-vk fit-cache: writes a model again with the matrices that turn its keys before they are rounded for the cache.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <filesystem>
#include <memory>

#include "runtime/base/mapped_file.h"
#include "runtime/base/user_dirs.h"
#include "runtime/gguf/writer.h"
#include "runtime/session/cache_turn_fit.h"
#include "runtime/text/tokenizer.h"
#include "tools/fit_cache_text.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/models/environment.h"
#include "tools/open_model.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

struct FitFlags {
    std::string in, out, text, device;
    bool force = false;
};

using Turns = std::vector<LayerTurns>;

Result<std::vector<TokenId>> tokens_of(const FitFlags& flags, const Tokenizer& tokenizer) {
    std::string text(kFitCacheText);
    if (!flags.text.empty()) {
        ATLAS_TRY(const MappedFile file, MappedFile::open(flags.text));
        text.assign(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
    }
    auto tokens = tokenizer.encode(text, {.add_special = true, .parse_special = false});
    if (tokens.size() > kFitTokens) tokens.resize(kFitTokens);
    return tokens;
}

Result<Turns> fit(const gguf::File& file, const FitFlags& flags) {
    ATLAS_TRY(const auto tokenizer, Tokenizer::load(file));
    for (const std::string& line : tokenizer->notes()) print_note(line);
    ATLAS_TRY(const auto tokens, tokens_of(flags, *tokenizer));
    VkBackendOptions options;
    options.device = flags.device;
    options.self_test = true;
    if (const auto dirs = user_dirs(system_environment)) {
        options.pipeline_cache = dirs->cache / "pipelines";
        options.choices_folder = dirs->cache / "kernels";
    }
    ATLAS_TRY(const auto backend, make_vk_backend(options));
    ATLAS_TRY(const auto model, Model::load(file, *backend, fit_shape(static_cast<uint32_t>(tokens.size()))));
    return fit_cache_turns(*model, tokens);
}

Result<void> fit_cache(const FitFlags& flags) {
    ATLAS_TRY(const auto path, find_model(flags.in));
    ATLAS_TRY(const auto file, gguf::File::open(path));
    std::error_code error;
    if (std::filesystem::exists(flags.out, error)) {
        if (std::filesystem::equivalent(path, flags.out, error)) {
            return fail(ErrorCode::invalid_argument, "{} is the source itself: give another name", flags.out);
        }
        if (!flags.force) return fail(ErrorCode::invalid_argument, "{} exists: give another name, or --force", flags.out);
    }
    ATLAS_TRY(const Turns turns, fit(file, flags));
    gguf::Writer writer;
    for (const gguf::KeyValue& key_value : file.key_values()) {
        if (!key_value.key.starts_with("split.")) writer.add(key_value);
    }
    for (const gguf::TensorInfo& tensor : file.tensors()) {
        if (!tensor.format) return fail(ErrorCode::unsupported, "tensor {} has storage type {}, which this version cannot read", tensor.name, tensor.gguf_type);
        writer.add_tensor(tensor.name, tensor.shape, *tensor.format, [&file, &tensor](std::span<std::byte> out) {
            const auto bytes = file.data(tensor);
            std::memcpy(out.data(), bytes.data(), out.size());
            file.release(tensor, 0, tensor.bytes);
        });
    }
    add_cache_turns(turns, writer);
    ATLAS_TRY_VOID(writer.write(flags.out));
    fmt::print("{}: keys and values of {} layers are turned by matrices of their own where --kv-rotation turns them\n", flags.out, turns.size());
    return {};
}

}  // namespace

void add_fit_cache(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<FitFlags>();
    CLI::App* command = app.add_subcommand("fit-cache", "Write a model again with what makes a small KV cache more exact");
    command->footer("Looks at the keys, queries and values that a text gives, and adds seven small tensors to every layer. With them --kv q4_0 keeps\n"
                    "about a fifth of the divergence (KL) that the Hadamard matrix alone leaves, of Qwen2.5-Coder-0.5B's a sixteenth\n"
                    "(bench/results/lavapipe/kv_quality.md).\n"
                    "Other programs do not know these tensors.\n"
                    "Example:\n  atlas-vk fit-cache model.gguf model-fitted.gguf");
    command->add_option("IN", flags->in, "The model: a stored model's name or a GGUF file")->required()->type_name("FILE");
    command->add_option("OUT", flags->out, "The file to write")->required()->type_name("FILE");
    command->add_option("-f,--file", flags->text, "A text to look at, of which the first 512 tokens count (default: one of its own)")->type_name("TEXT");
    command->add_option("--device", flags->device, "Device to run on: its index, a part of its name, or its UUID");
    command->add_flag("--force", flags->force, "Replace OUT if it exists");
    command->callback([flags, &exit_code] {
        if (const auto done = fit_cache(*flags); !done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
