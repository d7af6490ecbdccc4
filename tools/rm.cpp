// atlas-vk rm: deletes a stored model.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "runtime/base/units.h"
#include "tools/messages.h"
#include "tools/models/store.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

struct RmFlags {
    std::string name;
    bool yes = false;
};

Result<void> remove_model(const RmFlags& flags) {
    ATLAS_TRY(const auto store, user_store());
    const auto model = store.find(flags.name);
    if (!flags.yes) {
        if (!model) return tl::unexpected(model.error());
        fmt::print(stderr, "Delete {} ({}, {})? [y/N] ", model->name, bytes_text(model->bytes), model->folder.string());
        std::string answer;
        std::getline(std::cin, answer);
        if (answer != "y" && answer != "Y" && answer != "yes") return fail(ErrorCode::cancelled, "nothing was deleted (--yes does not ask)");
    }
    return store.remove(flags.name);
}

int run(const RmFlags& flags) {
    const auto removed = remove_model(flags);
    if (removed) return 0;
    return print_error(removed.error());
}

}  // namespace

void add_rm(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<RmFlags>();
    auto* command = app.add_subcommand("rm", "Delete a stored model");
    command->add_option("name", flags->name, "As 'atlas-vk list' shows it; with --yes also what an unfinished pull left")->required();
    command->add_flag("-y,--yes", flags->yes, "Do not ask");
    command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace atlas::tools
