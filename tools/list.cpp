// atlas-vk list: the models in the store.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "quant/recipe.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/json_text.h"
#include "runtime/base/units.h"
#include "runtime/gguf/reader.h"
#include "tools/fit_columns.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/models/environment.h"
#include "tools/subcommands.h"
#include "tools/terminal_text.h"

namespace atlas::tools {
namespace {

constexpr size_t kMostShown = 400;

struct Row {
    StoredModel model;
    std::string architecture, quant, problem;
};

// The recipe that the file names, else the format that holds most of the bytes: the two differ where a model's rows do
// not fit the recipe's blocks.
std::string quant_of(const gguf::File& file) {
    const uint32_t file_type = file.u32_or("general.file_type", std::numeric_limits<uint32_t>::max());
    const auto recipe = std::ranges::find(recipes(), file_type, &Recipe::file_type);
    if (recipe != recipes().end()) return std::string(recipe->name);
    std::map<std::string, uint64_t> bytes;
    for (const auto& tensor : file.tensors())
        if (tensor.format) bytes[std::string(info(*tensor.format).name)] += tensor.bytes;
    const auto most = std::ranges::max_element(bytes, {}, [](const auto& entry) { return entry.second; });
    return most == bytes.end() ? "?" : most->first;
}

Row describe(const StoredModel& model) {
    Row row{model, "?", "?", ""};
    const auto file = gguf::File::open(model.path);
    if (!file) {
        row.problem = file.error().message;
        return row;
    }
    row.architecture = file->string_or("general.architecture", "?");
    row.quant = quant_of(*file);
    return row;
}

void print_json(const std::vector<Row>& rows) {
    nlohmann::ordered_json out = nlohmann::ordered_json::array();
    for (const Row& row : rows) {
        out.push_back({{"name", row.model.name},
                       {"bytes", row.model.bytes},
                       {"architecture", row.architecture},
                       {"quant", row.quant},
                       {"path", row.model.path.string()},
                       {"source", row.model.source}});
        if (!row.problem.empty()) out.back()["problem"] = row.problem;
    }
    fmt::print("{}\n", json_text(out, 2));
}

std::string last_column(const Row& row) {
    return printable(row.problem.empty() ? row.model.path.string() : "cannot be read: " + row.problem, kMostShown);
}

// Shortened for a person; not for output that programs read.
std::string shortened(std::string path) {
    const std::string home = system_environment("HOME").value_or("");
    return home.size() > 1 && path.starts_with(home + "/") ? "~" + path.substr(home.size()) : path;
}

// One line per model; on a terminal that is too narrow for that, paths have lines of their own.
void print_table(const std::vector<Row>& rows, size_t width) {
    const auto first = [&](std::string_view name, std::string_view size, std::string_view architecture,
                           std::string_view quant) {
        return fmt::format("{:<{}}  {:>9}  {:<12}  {:<7}", name, width, size, architecture, quant);
    };
    const std::string title = first("NAME", "SIZE", "ARCHITECTURE", "QUANT");
    const size_t columns = output_columns();
    const bool fits = std::ranges::all_of(
        rows, [&](const Row& row) { return columns == 0 || title.size() + 2 + last_column(row).size() <= columns; });
    fmt::print("{}{}\n", title, fits ? "  PATH" : "");
    for (const Row& row : rows) {
        const std::string line = first(printable(row.model.name), bytes_text(row.model.bytes),
                                       printable(row.architecture), printable(row.quant));
        if (fits)
            fmt::print("{}  {}\n", line, last_column(row));
        else
            fmt::print("{}\n{}", line, fit_columns("  " + shortened(last_column(row)) + "\n", columns));
    }
}

int print_names() {
    const auto store = user_store();
    const auto models = store ? store->list() : tl::unexpected(store.error());
    if (!models) return print_error(models.error());
    for (const StoredModel& model : *models) fmt::print("{}\n", for_stdout(model.name));
    return 0;
}

int run(bool json) {
    const auto store = user_store();
    const auto models = store ? store->list() : tl::unexpected(store.error());
    if (!models) return print_error(models.error());
    std::vector<Row> rows;
    size_t width = 4;
    for (const StoredModel& model : *models) {
        rows.push_back(describe(model));
        width = std::max(width, printable(model.name).size());
    }
    if (json) {
        print_json(rows);
        return 0;
    }
    if (rows.empty()) {
        note("no model is stored in {}; 'atlas-vk pull NAME' fetches one",
             printable(store->folder().string(), kMostShown));
        return 0;
    }
    print_table(rows, width);
    return 0;
}

}  // namespace

void add_list(CLI::App& app, int& exit_code) {
    auto json = std::make_shared<bool>(false);
    auto names = std::make_shared<bool>(false);
    auto* command = app.add_subcommand("list", "Show the models that are stored here");
    command->add_flag("--json", *json, "Print name, bytes, architecture, quant, path and source as JSON");
    command->add_flag("--names", *names, "Print the names alone, one a line");
    command->callback([json, names, &exit_code] { exit_code = *names ? print_names() : run(*json); });
}

}  // namespace atlas::tools
