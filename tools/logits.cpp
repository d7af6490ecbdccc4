// atlas-vk logits: the logits of every token of a text as a file, for comparing runtimes.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>

#include "runtime/base/in_quotes.h"
#include "runtime/base/user_dirs.h"
#include "runtime/kernels/vk_backend.h"
#include "runtime/session/measure/logits_file.h"
#include "tools/ends_soon.h"
#include "tools/flag_checks.h"
#include "tools/interactive_backend.h"
#include "tools/interrupt.h"
#include "tools/messages.h"
#include "tools/model_flags.h"
#include "tools/model_path.h"
#include "tools/models/environment.h"
#include "tools/output_file.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

struct LogitsFlags {
    std::string model;
    std::string tokens;
    std::string out;
    std::string device;
    std::string kv_type = "f16", kv_rotation = "auto";
    std::string matmul;
    uint32_t n_batch = 64;
    bool quiet = false;
    bool force = false;
};

Result<std::vector<TokenId>> read_tokens(const LogitsFlags& flags) {
    if (flags.tokens != "-") return parse_token_list(flags.tokens);
    std::string text(std::istreambuf_iterator<char>(std::cin), {});
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return parse_token_list(text);
}

Result<void> check_tokens(const std::vector<TokenId>& tokens, const gguf::File& file) {
    const gguf::TensorInfo* embedding = file.find_tensor("token_embd.weight");
    if (embedding == nullptr || embedding->shape.size() != 2) return {};  // loading reports it
    const TokenId largest = *std::max_element(tokens.begin(), tokens.end());
    if (largest < embedding->shape[0]) return {};
    return fail(ErrorCode::invalid_argument, "--tokens: token {}, expected ids below {} (the vocabulary)", largest,
                embedding->shape[0]);
}

Result<void> write_logits(const LogitsFlags& flags, const Interrupt& interrupt) {
    std::optional<Interrupt::AtOnce> nothing_to_lose(std::in_place);
    ATLAS_TRY(const std::vector<TokenId> tokens, read_tokens(flags));
    ATLAS_TRY(const auto path, find_model(flags.model));
    ATLAS_TRY_VOID(check_output(flags.out, model_files(path), flags.force));
    ATLAS_TRY(const gguf::File file, gguf::File::open(path));
    ATLAS_TRY_VOID(check_tokens(tokens, file));
    VkBackendOptions options;
    make_interactive(options);
    options.device = flags.device;
    options.forced_matmul = flags.matmul;
    options.tune_for_gpu = !flags.matmul.empty();  // a software device is not offered every kernel
    if (const auto dirs = user_dirs(system_environment)) options.pipeline_cache = dirs->cache / "pipelines";
    ATLAS_TRY(const auto backend, make_vk_backend(options));
    if (backend->is_software() && !flags.quiet) {
        note("running on {}", backend->describe());
    }
    SessionShape shape;
    shape.n_ctx = static_cast<uint32_t>(tokens.size());
    shape.n_batch = shape.max_outputs = std::min(flags.n_batch, shape.n_ctx);
    ATLAS_TRY(shape.kv_format, kv_formats(flags.kv_type, flags.kv_rotation));
    ATLAS_TRY(const auto model, Model::load(file, *backend, shape));
    if (tokens.size() > model->config().n_ctx_train) {
        return fail(ErrorCode::limit, "{} tokens do not fit: {} was trained for {}", tokens.size(), flags.model,
                    model->config().n_ctx_train);
    }
    ATLAS_TRY(const auto session, Session::create(model, shape));
    nothing_to_lose.reset();
    keep_finished_work();  // the unfinished file is removed
    ATLAS_TRY_VOID(write_logits_file(*session, tokens, flags.out, {}, interrupt.token()));
    if (!flags.quiet)
        fmt::print(stderr, "{}: f32 [{}, {}]\n", printable(flags.out, 400), tokens.size(), model->config().n_vocab);
    return {};
}

}  // namespace

void add_logits(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<LogitsFlags>();
    CLI::App* command =
        app.add_subcommand("logits", "Write the logits of every token of a text to a file, to compare runtimes");
    command->footer(
        "The file is little-endian f32 [n_tokens, n_vocab], row t the logits after token t. It appears when it is "
        "complete.\n"
        "Examples:\n  atlas-vk logits -m model.gguf --tokens 1,2,3 -o out.f32 --kv-type f32\n"
        "  atlas-vk tokenize -m model.gguf \"Hello\" | tr ' ' , |\n      atlas-vk logits -m model.gguf --tokens - -o "
        "out.f32");
    command->add_option("-m,--model", flags->model, "Use this model: a stored name or a GGUF file")->required();
    command->add_option("--tokens", flags->tokens, "Run these token ids, separated by commas; - reads them from stdin")
        ->required();
    command->add_option("-o,--output", flags->out, "Write this file")->required();
    add_kv_flags(*command, flags->kv_type, flags->kv_rotation);
    command
        ->add_option("--batch", flags->n_batch, "Run this many tokens per step; 1 takes the path that generates text")
        ->check(whole_number(1, 4096), "")
        ->capture_default_str();
    command->add_option("--device", flags->device, "Use this device: its index, a part of its name, or its UUID");
    command->add_option("--matmul", flags->matmul,
                        "Run matrix products by kernels whose name begins so, where a device has them (matmul_dot)");
    command->add_flag("--force", flags->force, "Replace the file if it exists");
    command->add_flag("-q,--quiet", flags->quiet, "Print errors only");
    command->callback([flags, &exit_code] {
        const Interrupt interrupt;
        if (const auto done = write_logits(*flags, interrupt); !done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
