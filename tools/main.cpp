// atlas-vk: dispatches to one function per subcommand.
#include <CLI/CLI.hpp>

#include "tools/subcommands.h"

int main(int argc, char** argv) {
    CLI::App app{"atlas-vk runs GGUF language models on any Vulkan device."};
    app.set_version_flag("--version", std::string("atlas-vk ") + ATLAS_VERSION);
    app.require_subcommand(1);
    int exit_code = 0;
    for (const auto& add : atlas::tools::kSubcommands) add(app, exit_code);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        // 0 for --help and --version; every misuse is 2.
        return app.exit(error) == 0 ? 0 : 2;
    }
    return exit_code;
}
