#include "tools/offer_pull.h"

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "runtime/planner/sizes.h"
#include "tools/model_path.h"
#include "tools/models/catalogue.h"
#include "tools/models/resolve.h"
#include "tools/shown_pull.h"

namespace atlas::tools {
namespace {

bool is_at_terminal() { return isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0; }

// ", about 380 MiB" of a model that the catalogue knows; else nothing: asking the server would send something.
std::string size_text(const Source& source) {
    const auto catalogue = user_catalogue();
    if (!catalogue) return "";
    const std::string quant = source.text.substr(source.text.rfind(':') + 1);
    for (const CatalogueModel& model : catalogue->models) {
        if (!model.pull.empty() || source_of(model, quant) != source.text) continue;
        const auto size = size_of(model.shape, quant, false);
        return size ? ", about " + bytes_text(size->file_bytes) : "";
    }
    return "";
}

bool says_yes(const std::string& question) {
    fmt::print(stderr, "{} [y/N] ", question);
    std::string answer;
    if (!std::getline(std::cin, answer)) fmt::print(stderr, "\n");  // Ctrl-D ends no line
    return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace

void add_pull_flag(CLI::App& command, bool& pull) {
    command.add_flag("-y,--pull", pull,
                     "Pull the model without asking if it is not stored; names as 'atlas-vk pull' takes them");
}

Result<std::filesystem::path> find_or_pull(const std::string& name, bool pull) {
    const auto store = user_store();
    ResolvedModel found = resolve_model(store ? *store : ModelStore({}), name);
    if (!found.path.empty()) return std::move(found.path);
    if (!found.source) return tl::unexpected(std::move(found.error));
    if (!pull) {
        if (!is_at_terminal()) {
            found.error.message += "; --pull fetches it and continues";
            return tl::unexpected(std::move(found.error));
        }
        const std::string from = printable(found.source->text, 200);
        const std::string similar =
            found.similar.empty() ? "" : fmt::format(" Stored with a similar name: {}.", found.similar);
        if (!says_yes(fmt::format("{} is not stored here.{} Pull it from {}{}?", in_quotes(name, 200), similar, from,
                                  size_text(*found.source))))
            return fail(ErrorCode::not_found, "{} is not stored, and nothing was pulled", in_quotes(name, 200));
    }
    ATLAS_TRY(const StoredModel model, shown_pull(*found.source));
    fmt::print(stderr, "{}: {}\n", printable(model.name), bytes_text(model.bytes));
    return model.path;
}

}  // namespace atlas::tools
