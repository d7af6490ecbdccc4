// atlas-vk rm: deletes a stored model.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

struct RmFlags {
    std::string name;
    bool yes = false;
};

std::string question_of(const Removal& removal, const std::string& name) {
    const std::string folder = printable(removal.folder.string(), 400);
    if (removal.link_to)
        return fmt::format("Delete the link {}? What it leads to ({}) stays.", folder,
                           printable(removal.link_to->string(), 400));
    if (!removal.model)
        return fmt::format("Delete what an unfinished pull left of {} ({}, {})?", printable(name),
                           bytes_text(removal.bytes), folder);
    return fmt::format("Delete {} ({}, {})?", printable(name), bytes_text(removal.bytes), folder);
}

// False: the user says no.
Result<bool> remove_model(const RmFlags& flags) {
    ATLAS_TRY(const auto store, user_store());
    if (!flags.yes) {
        ATLAS_TRY(const Removal removal, store.find_removal(flags.name));
        fmt::print(stderr, "{} [y/N] ", question_of(removal, stored_name(flags.name)));
        std::string answer;
        if (!std::getline(std::cin, answer)) fmt::print(stderr, "\n");  // Ctrl-D ends no line
        if (answer != "y" && answer != "Y" && answer != "yes") {
            note("nothing was deleted (--yes does not ask)");
            return false;
        }
    }
    ATLAS_TRY_VOID(store.remove(flags.name));
    return true;
}

int run(const RmFlags& flags) {
    const auto removed = remove_model(flags);
    if (!removed) return print_error(removed.error());
    return *removed ? 0 : 1;
}

}  // namespace

void add_rm(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<RmFlags>();
    auto* command = app.add_subcommand("rm", "Delete a stored model");
    command->add_option("name", flags->name, "Delete the model of this name in 'atlas-vk list', or an unfinished pull")
        ->required();
    command->add_flag("-y,--yes", flags->yes, "Do not ask");
    command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace atlas::tools
