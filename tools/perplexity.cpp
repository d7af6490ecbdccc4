// atlas-vk perplexity: how well a model predicts a text, and how far it is from another model.
#include "runtime/session/measure/perplexity.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "runtime/base/json_text.h"
#include "runtime/base/units.h"
#include "runtime/gguf/file_error.h"
#include "tools/ends_soon.h"
#include "tools/fit_columns.h"
#include "tools/flag_checks.h"
#include "tools/interrupt.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/open_device.h"
#include "tools/open_model.h"
#include "tools/output_file.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

struct PerplexityFlags {
    ModelFlags model;
    std::string text;
    std::string save_base, base;
    uint32_t n_chunks = 0;
    bool json = false;
    bool quiet = false;
    bool force = false;
};

// Most logit rows per step: 64 rows of the largest vocabularies are 64 MB on the device and as much on the host.
constexpr uint32_t kMostRows = 64;

Result<std::vector<TokenId>> tokens_of(const std::string& path, const Tokenizer& tokenizer) {
    const Interrupt::AtOnce nothing_to_lose;
    ATLAS_TRY(const MappedFile file, MappedFile::open(path));
    const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
    auto tokens = tokenizer.encode(text, {.add_special = true, .parse_special = false});
    ATLAS_TRY_VOID(file.intact());
    return tokens;
}

// The file of --save-kl-base must not be one that is read.
Result<void> check_base_to_save(const PerplexityFlags& flags) {
    if (flags.save_base.empty()) return {};
    std::vector<std::filesystem::path> inputs;
    if (const auto model = find_model(flags.model.model))
        inputs = model_files(*model);  // where it is not there yet, it may be pulled
    if (!flags.text.empty()) inputs.emplace_back(flags.text);
    return check_output(flags.save_base, inputs, flags.force);
}

Result<void> check_same_text(const std::vector<TokenId>& text, const KlBase& base, const PerplexityFlags& flags) {
    const auto& tokens = base.tokens();
    const auto differ = std::mismatch(text.begin(), text.end(), tokens.begin(), tokens.end());
    if (differ.second == tokens.end()) return {};
    return fail(ErrorCode::invalid_argument,
                "{} holds the log probabilities of another text than {} (token {} differs): leave -f away to take the "
                "base's own",
                flags.base, flags.text, differ.second - tokens.begin());
}

std::string json_of(const PerplexityResult& r, const PerplexityFlags& flags, uint32_t n_ctx) {
    nlohmann::ordered_json out = {{"model", flags.model.model},
                                  {"kv", flags.model.kv_type},
                                  {"kv_rotation", flags.model.kv_rotation},
                                  {"n_ctx", n_ctx},
                                  {"chunks", r.n_chunks},
                                  {"scored_tokens", r.n_scored},
                                  {"perplexity", r.perplexity},
                                  {"perplexity_error", r.perplexity_error}};
    if (const auto& d = r.divergence) {
        out["kl"] = {{"mean", d->mean},
                     {"mean_error", d->mean_error},
                     {"median", d->median},
                     {"percentile_99", d->percentile_99},
                     {"max", d->max},
                     {"same_top", d->same_top},
                     {"base_perplexity", d->base_perplexity}};
    }
    return json_text(out, 1);
}

void print_result(const PerplexityResult& r, uint32_t n_ctx) {
    print_fitted(fmt::format("perplexity {:.4f} +/- {:.4f} ({} of {} tokens, {} scored)\n", r.perplexity,
                             r.perplexity_error, count_of(r.n_chunks, "chunk"), n_ctx, count_of(r.n_scored, "token")));
    if (const auto& d = r.divergence) {
        fmt::print("base perplexity {:.4f}, ratio {:.5f}\n", d->base_perplexity, r.perplexity / d->base_perplexity);
        print_fitted(fmt::format("KL divergence mean {:.6f} +/- {:.6f}, median {:.6f}, 99 % {:.6f}, max {:.6f} nats\n",
                                 d->mean, d->mean_error, d->median, d->percentile_99, d->max));
        fmt::print("same most likely token {:.2f} %\n", 100 * d->same_top);
    }
}

Result<void> measure(PerplexityFlags flags) {
    Interrupt interrupt;
    if (flags.text.empty() && flags.base.empty())
        return fail(ErrorCode::invalid_argument, "give a text (-f), or a base (--kl-base) that holds one");
    ATLAS_TRY_VOID(check_base_to_save(flags));
    if (!flags.save_base.empty()) keep_finished_work();  // the unfinished file is removed
    std::optional<KlBase> base;
    if (!flags.base.empty()) {
        ATLAS_TRY(KlBase opened, KlBase::open(flags.base));
        if (flags.model.n_ctx > 0 && flags.model.n_ctx != opened.shape().n_ctx) {
            return fail(ErrorCode::invalid_argument, "{} was made with --ctx {}, not {}", flags.base,
                        opened.shape().n_ctx, flags.model.n_ctx);
        }
        flags.model.n_ctx = opened.shape().n_ctx;
        base.emplace(std::move(opened));
    }
    if (flags.model.n_ctx == 0) flags.model.n_ctx = 512;
    const uint32_t n_ctx = flags.model.n_ctx;
    ATLAS_TRY(OpenModel open, open_model(flags.model, std::min(kMostRows, n_ctx)));
    std::vector<TokenId> tokens;
    if (!flags.text.empty()) {
        ATLAS_TRY(tokens, tokens_of(flags.text, *open.tokenizer));
        if (base) ATLAS_TRY_VOID(check_same_text(tokens, *base, flags));
    }
    PerplexityOptions options;
    options.n_ctx = n_ctx;
    options.max_chunks = flags.n_chunks;
    const auto nothing = open.tokenizer->encode("", {.add_special = true, .parse_special = false});
    if (!nothing.empty() && open.tokenizer->bos() == nothing.front()) options.bos = nothing.front();
    options.save_base = flags.save_base;
    options.base = base ? &*base : nullptr;
    options.stop = interrupt.token();
    const bool shows = !flags.quiet && isatty(STDERR_FILENO) != 0;
    options.progress = [shows](uint32_t done, uint32_t total, double perplexity) {
        if (shows) fmt::print(stderr, "\r\033[Kchunk {} of {}: perplexity {:.4f}", done, total, perplexity);
    };
    const auto result = measure_perplexity(*open.session, tokens, options);
    if (shows) fmt::print(stderr, "\r\033[K");
    if (!result) return gguf::fail_with_model(open.file->path(), result.error());
    if (flags.json)
        fmt::print("{}\n", json_of(*result, flags, n_ctx));
    else
        print_result(*result, n_ctx);
    return check_validation(flags.model, *open.backend);
}

}  // namespace

void add_perplexity(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<PerplexityFlags>();
    CLI::App* command = app.add_subcommand(
        "perplexity", "Measure how well a model predicts a text, and how far it is from another model");
    command->footer(
        "The text is cut into chunks of --ctx tokens; the second half of each is scored. Base files are "
        "llama-perplexity's: either reads the other's.\n"
        "Examples:\n  atlas-vk perplexity -m model-f16.gguf -f text.txt --save-kl-base base.kld\n"
        "  atlas-vk perplexity -m model-q4.gguf --kl-base base.kld\n"
        "  atlas-vk perplexity -m model-f16.gguf --kl-base base.kld --kv q8_0:q4_0");
    add_model_flags(*command, flags->model);
    command->get_option("--ctx")
        ->description("Tokens per chunk (default: 512, or the base's)")
        ->check(whole_number(4, 1u << 20), "");
    command->add_option("-f,--file", flags->text, "Score the text in this file; may be left out with --kl-base")
        ->check(input_file("--file"), "");
    command->add_option("--chunks", flags->n_chunks, "Score at most this many chunks")->check(whole_number(1), "");
    auto* save = command->add_option(
        "--save-kl-base", flags->save_base,
        "Write this model's log probabilities to a file (2 bytes per token of the vocabulary and of the text's half)");
    command->add_option("--kl-base", flags->base, "Compare with the log probabilities in this file")
        ->excludes(save)
        ->check(input_file("--kl-base"), "");
    command->add_flag("--force", flags->force, "Replace the file of --save-kl-base if it exists");
    command->add_flag("--json", flags->json, "Print JSON");
    command->add_flag("-q,--quiet", flags->quiet, "Show no progress");
    command->callback([flags, &exit_code] {
        if (const auto done = measure(*flags); !done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
