// atlas-vk: dispatches to one function per subcommand.
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "runtime/base/in_quotes.h"
#include "runtime/vk/abandoned.h"
#include "tools/fit_columns.h"
#include "tools/flag_checks.h"
#include "tools/foreign_flags.h"
#include "tools/interrupt.h"
#include "tools/messages.h"
#include "tools/nearest_name.h"
#include "tools/progress_bar.h"
#include "tools/subcommands.h"
#include "tools/usage_text.h"
#include "tools/version.h"

namespace {

using CLI::App;

struct Group {
    const char* title;
    std::vector<const char*> commands;
};

// The order of the subcommands in --help; one without a group is listed under "Other".
const std::array<Group, 6>& groups() {
    static const std::array<Group, 6> kGroups = {
        {{"Talk to a model", {"run", "chat"}},
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

// An unset variable of a script gives "", which names nothing and does not mean that the flag is left out. Texts may be
// empty.
void refuse_empty_values(App& app) {
    constexpr std::array<std::string_view, 4> kTexts = {"--prompt", "--system", "TEXT", "--filter"};
    const auto check = [](const std::string& value) {
        return value.empty() ? std::string("expected a value, found an empty one") : std::string();
    };
    for (App* command : app.get_subcommands({})) {
        for (CLI::Option* option : command->get_options()) {
            const bool is_text = std::any_of(kTexts.begin(), kTexts.end(), [&](std::string_view name) {
                return option->check_name(std::string(name));
            });
            if (option->get_items_expected_max() > 0 && !is_text) option->check(check, "");
        }
    }
}

// Explains a first word that is no subcommand. CLI11 alone would only complain about "extra arguments".
int explain_unknown(const App& app, const std::string& typed) {
    const auto names = command_names(app);
    const auto meant = atlas::tools::nearest_name(typed, names);
    const std::string instead = meant.empty() ? fmt::format("The commands are: {}", fmt::join(names, ", "))
                                              : fmt::format("Did you mean '{}'?", meant);
    return atlas::tools::print_wrong_usage("",
                                           fmt::format("there is no command {}. {}", atlas::in_quotes(typed), instead));
}

// Explains a flag where a command was expected. CLI11 alone would say that the subcommand is missing.
int explain_unknown_flag(App& app, const std::string& typed) {
    const std::string flag = typed.substr(0, typed.find('='));
    const std::string shown = atlas::printable(flag);
    for (const Group& group : groups()) {
        for (const char* name : group.commands) {
            const App* command = find_command(app, name);
            if (command == nullptr || command->get_option_no_throw(flag) == nullptr) continue;
            return atlas::tools::print_wrong_usage(
                "", fmt::format("{} goes after the command, as in 'atlas-vk {} {}'", shown, name, shown));
        }
    }
    const std::array<std::string, 2> ours = {"--help", "--version"};
    const auto meant = atlas::tools::nearest_name(flag, ours);
    return atlas::tools::print_wrong_usage(
        "", fmt::format("there is no flag {}{}", shown, meant.empty() ? "" : fmt::format("; did you mean {}?", meant)));
}

// The flag of the command that was meant, in words, or nothing.
std::string flag_near(const App& command, const std::vector<std::string>& extra) {
    std::vector<std::string> names;
    for (const CLI::Option* option : command.get_options()) {
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
    const auto flag =
        std::find_if(extra.begin(), extra.end(), [](const std::string& text) { return text.starts_with("--"); });
    const auto meant = flag == extra.end() ? "" : atlas::tools::nearest_name(flag->substr(0, flag->find('=')), names);
    return meant.empty() ? "" : fmt::format("; did you mean {}?", meant);
}

// "--system=" as "--system" and "": otherwise the parser would take the next word as the value.
std::vector<std::string> with_empty_values_apart(const App& command, const std::vector<std::string>& arguments) {
    std::vector<std::string> apart;
    bool is_over = false;
    for (const std::string& argument : arguments) {
        is_over = is_over || argument == "--";
        const std::string flag = argument.substr(0, argument.size() - 1);
        const bool is_empty = !is_over && argument.starts_with("--") && argument.ends_with('=') &&
                              command.get_option_no_throw(flag) != nullptr;
        apart.push_back(is_empty ? flag : argument);
        if (is_empty) apart.emplace_back();
    }
    return apart;
}

// As wide as the terminal, through a pipe 80 columns: a pager would break words at any letter. CLI11 puts two blank
// lines before some groups.
void print_help(std::string text) {
    for (size_t at = 0; (at = text.find("\n\n\n", at)) != std::string::npos;) text.erase(at, 1);
    const size_t columns = atlas::tools::output_columns();
    const std::string shown = atlas::tools::fit_columns(text, columns > 0 ? columns : 80);
    std::fwrite(shown.data(), 1, shown.size(), stdout);
}

int parse(App& app, std::vector<std::string> arguments) {
    App* command = arguments.empty() ? nullptr : find_command(app, arguments.front());
    const std::string name = command != nullptr ? command->get_name() : "";
    if (command != nullptr) {
        auto ours = atlas::tools::in_our_spelling(*command, {arguments.begin() + 1, arguments.end()});
        if (!ours) return atlas::tools::print_wrong_usage(name, ours.error().message);
        arguments.resize(1);
        for (const std::string& argument : with_empty_values_apart(*command, *ours)) arguments.push_back(argument);
    }
    try {
        std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
        app.parse(std::move(arguments));
    } catch (const CLI::Success& help) {
        std::ostringstream text;
        const int exit_code = app.exit(help, text, text);
        print_help(text.str());
        return exit_code;
    } catch (const atlas::tools::NotThere& error) {
        return atlas::tools::print_error({atlas::ErrorCode::not_found, error.what()});
    } catch (const CLI::ParseError& error) {
        const std::string near = command != nullptr ? flag_near(*command, command->remaining()) : "";
        return atlas::tools::print_wrong_usage(name,
                                               atlas::printable(atlas::tools::usage_text(error, command), 1000) + near);
    }
    return 0;
}

int run(int argc, char** argv) {
    App app{"atlas-vk runs GGUF language models on any Vulkan device.", "atlas-vk"};
    app.set_version_flag("--version", atlas::tools::version_text(), "Print version, commit and compiler and exit");
    app.set_help_flag("-h,--help", "Print this help and exit; 'atlas-vk COMMAND --help' explains one command");
    app.require_subcommand(1);
    app.footer(
        "Exit codes: 0 done, 1 what the command line names fails (a file, the network, the device), 2 it is wrong "
        "itself, 129, 130 and 143 stopped by SIGHUP, Ctrl-C and SIGTERM.");
    int exit_code = 0;
    for (const auto& add : atlas::tools::kSubcommands) add(app, exit_code);
    sort_into_groups(app);
    refuse_empty_values(app);

    if (argc < 2) {
        atlas::tools::write_stderr(atlas::tools::fit_columns(app.help(), atlas::tools::terminal_columns()));
        return 2;
    }
    const std::string first = argv[1];
    if (!first.starts_with("-") && !find_command(app, first)) return explain_unknown(app, first);
    if (first.starts_with("-") && !app.get_option_no_throw(first.substr(0, first.find('='))))
        return explain_unknown_flag(app, first);
    const int wrong = parse(app, {argv + 1, argv + argc});
    return wrong != 0 ? wrong : exit_code;
}

// The next file that is opened would get the number of a closed standard stream, and then our messages. Writing to
// stdout fails as before.
void open_missing_streams() {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (fcntl(stream, F_GETFD) != -1 || errno != EBADF) continue;
        [[maybe_unused]] const int opened = open("/dev/null", stream == STDERR_FILENO ? O_WRONLY : O_RDONLY);
    }
}

// Output of a command may still be buffered: a full disk is found here, for all commands.
int with_output_written(int exit_code) {
    const bool flushed = std::fflush(stdout) == 0;
    const int reason = errno;
    if (flushed && std::ferror(stdout) == 0) return exit_code;
    if (exit_code != 0) return exit_code;  // reported already
    return atlas::tools::print_error(
        {atlas::ErrorCode::io, flushed ? "not all of the output could be written to stdout"
                                       : fmt::format("cannot write to stdout: {}", std::strerror(reason))});
}

// Our code fails with values. What arrives here is an unexpected exception of a library, or a failed allocation (a
// length_error asks for more memory than any machine has).
void say_exception(const std::exception_ptr& exception) noexcept {
    constexpr const char* kOutOfMemory =
        "atlas-vk: error: out of memory: the system gives this process no more (see also ulimit -v)\n";
    try {
        std::rethrow_exception(exception);
    } catch (const std::bad_alloc&) {
        std::fputs(kOutOfMemory, stderr);
    } catch (const std::length_error&) {
        std::fputs(kOutOfMemory, stderr);
    } catch (const std::exception& error) {
        try {
            // fmt::print throws where stdout cannot be written, and says only "file".
            const auto* system = dynamic_cast<const std::system_error*>(&error);
            const bool is_stdout = system != nullptr && std::ferror(stdout) != 0;
            atlas::tools::print_error({atlas::ErrorCode::io, is_stdout
                                                                 ? "cannot write to stdout: " + system->code().message()
                                                                 : error.what()});
        } catch (...) {
            std::fputs(kOutOfMemory, stderr);
        }
    } catch (...) {
        std::fputs("atlas-vk: error: a library threw something unknown\n", stderr);
    }
}

// For exceptions that nothing can catch: those of a driver's thread that gets no memory.
[[noreturn]] void on_terminate() {
    if (const auto exception = std::current_exception())
        say_exception(exception);
    else
        std::fputs("atlas-vk: error: ended by std::terminate\n", stderr);
    std::fflush(nullptr);
    std::_Exit(1);
}

int guarded_run(int argc, char** argv) {
    int exit_code = 1;
    std::set_terminate(on_terminate);
    atlas::tools::Interrupt::end_at_once_by_default();
    try {
        open_missing_streams();
        std::signal(SIGXFSZ,
                    SIG_IGN);  // a file that grows over ulimit -f is a failed write with a message, not the end
        atlas::tools::send_log_to_stderr();
        exit_code = run(argc, argv);
    } catch (...) {
        say_exception(std::current_exception());
    }
    return with_output_written(exit_code);
}

}  // namespace

int main(int argc, char** argv) {
    const int exit_code = guarded_run(argc, argv);
    // A device that did not become idle may still use what exit handlers would destroy.
    if (!atlas::vk::any_abandoned()) return exit_code;
    std::fflush(nullptr);
    std::_Exit(exit_code);
}
