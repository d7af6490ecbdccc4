// atlas-vk: dispatches to one function per subcommand.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/cfg/env.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <array>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "tools/nearest_name.h"
#include "tools/subcommands.h"
#include "tools/version.h"

namespace {

using CLI::App;

struct Group {
    const char* title;
    std::vector<const char*> commands;
};

// How --help orders the subcommands; one that stands in no group is listed under "Other".
const std::array<Group, 6>& groups() {
    static const std::array<Group, 6> kGroups = {{{"Talk to a model", {"run", "chat"}},
                                                  {"Choose a model", {"plan"}},
                                                  {"Get models", {"pull", "list", "rm"}},
                                                  {"Look at files and devices", {"inspect", "devices", "kernels"}},
                                                  {"Compare and measure", {"bench", "perplexity", "tune", "tokenize", "logits", "quantize", "fit-cache"}},
                                                  {"Set up", {"completion", "manual"}}}};
    return kGroups;
}

std::vector<std::string> command_names(const App& app) {
    std::vector<std::string> names;
    for (const App* command : app.get_subcommands({})) names.push_back(command->get_name());
    return names;
}

App* find_command(App& app, std::string_view name) {
    for (App* command : app.get_subcommands({})) {
        if (command->get_name() == name) return command;
    }
    return nullptr;
}

void sort_into_groups(App& app) {
    for (App* command : app.get_subcommands({})) {
        command->group("Other");
        command->set_help_flag("-h,--help", "Print this help and exit");
    }
    for (const Group& group : groups()) {
        for (const char* name : group.commands) {
            if (App* command = find_command(app, name)) command->group(group.title);
        }
    }
}

/// Says what is wrong with a first word that is no subcommand. CLI11 alone would only complain about "extra arguments".
void explain_unknown(const App& app, const std::string& typed) {
    const auto names = command_names(app);
    fmt::print(stderr, "atlas-vk: error: there is no command '{}'.", typed.substr(0, 80));
    const auto meant = atlas::tools::nearest_name(typed, names);
    if (meant.empty()) {
        fmt::print(stderr, " The commands are: {}.\n", fmt::join(names, ", "));
    } else {
        fmt::print(stderr, " Did you mean '{}'?\n", meant);
    }
    fmt::print(stderr, "Run 'atlas-vk --help' for more.\n");
}

int run(int argc, char** argv) {
    App app{"atlas-vk runs GGUF language models on any Vulkan device.", "atlas-vk"};
    app.set_version_flag("--version", atlas::tools::version_text(), "Print version, commit and compiler and exit");
    app.set_help_flag("-h,--help", "Print this help and exit; 'atlas-vk COMMAND --help' tells about one command");
    app.require_subcommand(1);
    app.footer("Exit codes: 0 done, 1 error (the reason goes to stderr), 2 wrong usage.");
    int exit_code = 0;
    for (const auto& add : atlas::tools::kSubcommands) add(app, exit_code);
    sort_into_groups(app);

    if (argc < 2) {
        fmt::print(stderr, "{}", app.help());
        return 2;
    }
    const std::string first = argv[1];
    if (!first.starts_with("-") && !find_command(app, first)) {
        explain_unknown(app, first);
        return 2;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        // 0 for --help and --version; every misuse is 2.
        return app.exit(error) == 0 ? 0 : 2;
    }
    return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        spdlog::set_default_logger(spdlog::stderr_color_mt("atlas-vk"));  // stdout is for answers and JSON
        spdlog::set_pattern("[%Y-%m-%d %T.%e] [%l] %v");
        spdlog::cfg::load_env_levels();  // SPDLOG_LEVEL=debug: what the runtime notes beside warnings
        return run(argc, argv);
    } catch (const std::bad_alloc&) {
        fmt::print(stderr, "atlas-vk: error: out of memory\n");
    } catch (const std::exception& error) {
        // Our code fails with values; this is a library's exception that nobody expected.
        fmt::print(stderr, "atlas-vk: error: {}\n", error.what());
    }
    return 1;
}
