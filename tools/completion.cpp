// atlas-vk completion: scripts that complete commands, options and model names in a shell.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "tools/option_facts.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

constexpr const char* kModelNames = "atlas-vk list --names 2>/dev/null";

// Within single quotes of a shell.
std::string shell_quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text) {
        if (c == '\'')
            out += "'\\''";
        else
            out += c == '\n' ? ' ' : c;
    }
    return out + "'";
}

std::string command_names(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* command : commands_of(app)) names.push_back(command->get_name());
    return fmt::format("{}", fmt::join(names, " "));
}

// --- bash ---

std::string bash_values(const CLI::App& command) {
    std::string text;
    for (const OptionFacts& option : options_of(command)) {
        if (option.names.empty() || !option.takes_value) continue;
        std::string reply = "COMPREPLY=()";  // then the shell offers files
        if (option.takes_model)
            reply = fmt::format("COMPREPLY=($(compgen -W \"$({})\" -- \"$word\"))", kModelNames);
        else if (!option.choices.empty())
            reply = fmt::format("COMPREPLY=($(compgen -W {} -- \"$word\"))",
                                shell_quoted(fmt::format("{}", fmt::join(option.choices, " "))));
        text += fmt::format("            {}) {}; return ;;\n", fmt::join(option.names, "|"), reply);
    }
    return text;
}

std::string bash(const CLI::App& app) {
    std::string text = fmt::format(
        "# bash completion of atlas-vk\n_atlas_vk() {{\n    local word=${{COMP_WORDS[COMP_CWORD]}} "
        "previous=${{COMP_WORDS[COMP_CWORD-1]}} options=\n"
        "    COMPREPLY=()\n    if ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W {} -- \"$word\")); return; fi\n    "
        "case ${{COMP_WORDS[1]}} in\n",
        shell_quoted(command_names(app) + " --help --version"));
    for (const CLI::App* command : commands_of(app)) {
        std::vector<std::string> names;
        for (const OptionFacts& option : options_of(*command))
            names.insert(names.end(), option.names.begin(), option.names.end());
        const std::string values = bash_values(*command);
        text += fmt::format("    {})\n        options={}\n", command->get_name(),
                            shell_quoted(fmt::format("{}", fmt::join(names, " "))));
        if (!values.empty()) text += fmt::format("        case $previous in\n{}        esac\n", values);
        if (command->get_name() == "rm")
            text += fmt::format("        COMPREPLY=($(compgen -W \"$({})\" -- \"$word\"))\n", kModelNames);
        text += "        ;;\n";
    }
    return text +
           "    esac\n    if [[ $word == -* ]]; then COMPREPLY=($(compgen -W \"$options\" -- \"$word\")); "
           "fi\n}\ncomplete -o default -F _atlas_vk atlas-vk\n";
}

// --- zsh ---

std::string zsh_text(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
        out += c;
    }
    return out;
}

std::string zsh_option(const OptionFacts& option) {
    std::string value;
    if (option.takes_value) {
        std::string action = "_files";
        if (option.takes_model)
            action = "_atlas_vk_models";
        else if (!option.choices.empty())
            action = fmt::format("({})", fmt::join(option.choices, " "));
        value = fmt::format(":{}:{}", "value", action);
    }
    std::string specs;
    for (const std::string& name : option.names) {
        specs += " " + shell_quoted(fmt::format("({}){}[{}]{}", fmt::join(option.names, " "), name,
                                                zsh_text(option.description), value));
    }
    return specs;
}

std::string zsh(const CLI::App& app) {
    std::string text = fmt::format(
        "#compdef atlas-vk\n_atlas_vk_models() {{\n    local -a models; models=(${{(f)\"$({})\"}}); compadd -a models; "
        "_files -g '*.gguf'\n}}\n"
        "_atlas_vk() {{\n    local context state line; typeset -A opt_args\n    _arguments -C '1:command:->command' "
        "'*::argument:->argument'\n"
        "    case $state in\n    command)\n        local -a commands; commands=(\n",
        kModelNames);
    for (const CLI::App* command : commands_of(app))
        text += fmt::format("            {}\n",
                            shell_quoted(command->get_name() + ":" + zsh_text(command->get_description())));
    text += "        )\n        _describe command commands ;;\n    argument)\n        case $words[1] in\n";
    for (const CLI::App* command : commands_of(app)) {
        std::string specs;
        for (const OptionFacts& option : options_of(*command)) specs += zsh_option(option);
        text += fmt::format("        {}) _arguments{} '*:argument:{}' ;;\n", command->get_name(), specs,
                            command->get_name() == "rm" ? "_atlas_vk_models" : "_files");
    }
    return text +
           "        esac ;;\n    esac\n}\nif [[ $funcstack[1] == _atlas_vk ]]; then _atlas_vk \"$@\"; else compdef "
           "_atlas_vk atlas-vk; fi\n";
}

// --- fish ---

std::string fish_option(const std::string& command, const OptionFacts& option) {
    std::string text = fmt::format("complete -c atlas-vk -n '__fish_seen_subcommand_from {}'", command);
    for (const std::string& name : option.names)
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    if (option.takes_value) text += " -r";
    if (option.takes_model)
        text += fmt::format(" -a '({})'", kModelNames);
    else if (!option.choices.empty())
        text += fmt::format(" -f -a {}", shell_quoted(fmt::format("{}", fmt::join(option.choices, " "))));
    return text + " -d " + shell_quoted(option.description) + "\n";
}

std::string fish(const CLI::App& app) {
    std::string text = "# fish completion of atlas-vk\n";
    for (const CLI::App* command : commands_of(app)) {
        text += fmt::format("complete -c atlas-vk -f -n '__fish_use_subcommand' -a {} -d {}\n", command->get_name(),
                            shell_quoted(command->get_description()));
    }
    for (const CLI::App* command : commands_of(app)) {
        for (const OptionFacts& option : options_of(*command)) {
            if (!option.names.empty()) text += fish_option(command->get_name(), option);
        }
    }
    return text + fmt::format("complete -c atlas-vk -f -n '__fish_seen_subcommand_from rm' -a '({})'\n", kModelNames);
}

}  // namespace

void add_completion(CLI::App& app, int& exit_code) {
    (void)exit_code;  // printing a text cannot fail for a reason of its own
    auto shell = std::make_shared<std::string>();
    CLI::App* command =
        app.add_subcommand("completion", "Print a script that completes commands, options and model names in a shell");
    command->footer(
        "Examples:\n  atlas-vk completion bash > ~/.local/share/bash-completion/completions/atlas-vk\n"
        "  atlas-vk completion zsh > \"${fpath[1]}/_atlas-vk\"\n  atlas-vk completion fish > "
        "~/.config/fish/completions/atlas-vk.fish");
    command->add_option("SHELL", *shell, "Print the script of this shell: bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    command->callback([&app, shell] {
        fmt::print("{}", *shell == "bash" ? bash(app) : *shell == "zsh" ? zsh(app) : fish(app));
    });
}

}  // namespace atlas::tools
