// atlas-vk manual: man pages, made of what --help says.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "runtime/base/atomic_file.h"
#include "runtime/base/in_quotes.h"
#include "tools/fit_columns.h"
#include "tools/messages.h"
#include "tools/option_facts.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

// Escapes text for roff, so that hyphens, quotes and accents can be copied into a shell and no line is taken for a
// request.
std::string roff(std::string_view text) {
    std::string out;
    bool line_begins = true;
    for (const char c : text) {
        if (line_begins && c == '.') out += "\\&";
        line_begins = c == '\n';
        switch (c) {
            case '\\':
                out += "\\e";
                break;
            case '-':
                out += "\\-";
                break;
            case '\'':
                out += "\\(aq";
                break;
            case '`':
                out += "\\(ga";
                break;
            case '~':
                out += "\\(ti";
                break;
            case '^':
                out += "\\(ha";
                break;
            default:
                out += c;
        }
    }
    return out;
}

std::string upper(std::string text) {
    for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    return text;
}

std::string option_text(const OptionFacts& option) {
    std::string head;
    for (const std::string& name : option.names)
        head += fmt::format("{}\\fB{}\\fR", head.empty() ? "" : ", ", roff(name));
    if (head.empty()) head = fmt::format("\\fI{}\\fR", roff(option.positional));
    if (option.takes_value && !option.names.empty()) head += fmt::format(" \\fI{}\\fR", roff(option.value));
    const std::string standard =
        option.takes_value && !option.standard.empty() ? fmt::format(" (default: {})", option.standard) : "";
    return fmt::format(".TP\n{}\n{}\n", head, roff(option.description + standard));
}

std::string options_text(const CLI::App& command) {
    std::string text;
    for (const OptionFacts& option : options_of(command)) text += option_text(option);
    return text.empty() ? "" : ".SH OPTIONS\n" + text;
}

// A footer keeps its lines: most are examples.
std::string footer_text(const CLI::App& command) {
    constexpr size_t kColumns = 70;  // and man's indentation of 7, on a terminal of 80
    return command.get_footer().empty()
               ? ""
               : fmt::format(".SH NOTES\n.nf\n{}\n.fi\n", roff(fit_columns(command.get_footer(), kColumns)));
}

std::string page(const std::string& name, const std::string& what, const std::string& body) {
    return fmt::format(".TH {} 1 \"\" \"atlas\\-vk {}\" \"atlas\\-vk\"\n.nh\n.SH NAME\n{} \\- {}\n{}",
                       roff(upper(name)), ATLAS_VERSION, roff(name), roff(what), body);
}

std::string page_of(const CLI::App& command) {
    std::string flags, words;
    for (const OptionFacts& option : options_of(command)) {
        const std::string word = fmt::format("\\fI{}\\fR", roff(option.positional));
        if (!option.positional.empty())
            words += (option.is_required ? " " + word : " [" + word + "]") + (option.takes_many ? "..." : "");
        else if (option.is_required)
            flags += fmt::format("\\fB{}\\fR \\fI{}\\fR ", roff(option.names.front()), roff(option.value));
    }
    const std::string synopsis =
        fmt::format(".SH SYNOPSIS\n.B atlas\\-vk {}\n{}[\\fIOPTION\\fR]...{}", roff(command.get_name()), flags, words);
    return page("atlas-vk-" + command.get_name(), command.get_description(),
                synopsis + "\n" + options_text(command) + footer_text(command) + ".SH SEE ALSO\n.BR atlas\\-vk (1)\n");
}

std::string main_page(const CLI::App& app) {
    std::string commands = ".SH COMMANDS\n";
    std::string see_also;
    for (const CLI::App* command : commands_of(app)) {
        commands += fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(command->get_name()), roff(command->get_description()));
        see_also += fmt::format("{}.BR atlas\\-vk\\-{} (1)", see_also.empty() ? "" : ",\n", roff(command->get_name()));
    }
    return page("atlas-vk", "run GGUF language models on any Vulkan device",
                ".SH SYNOPSIS\n.B atlas\\-vk\n\\fICOMMAND\\fR [\\fIOPTION\\fR]...\n" + commands + options_text(app) +
                    footer_text(app) + ".SH SEE ALSO\n" + see_also + "\n");
}

Result<void> write_page(const std::filesystem::path& folder, const std::string& name, const std::string& text) {
    ATLAS_TRY(AtomicFile file, AtomicFile::create(folder / (name + ".1")));
    ATLAS_TRY_VOID(file.write(text));
    return file.commit();
}

Result<void> write_pages(const CLI::App& app, const std::filesystem::path& folder) {
    const std::string shown = in_quotes(folder.string(), 400);
    std::error_code error;
    const auto there = std::filesystem::status(folder, error);
    if (std::filesystem::exists(there) && !std::filesystem::is_directory(there))
        return fail(ErrorCode::invalid_argument, "{} is a file: expected the name of a folder", shown);
    std::filesystem::create_directories(folder, error);
    if (error) return fail(ErrorCode::io, "cannot make the folder {}: {}", shown, error.message());
    if (!std::filesystem::exists(there)) note("{} is a new folder; the pages are in it", shown);
    ATLAS_TRY_VOID(write_page(folder, "atlas-vk", main_page(app)));
    for (const CLI::App* command : commands_of(app))
        ATLAS_TRY_VOID(write_page(folder, "atlas-vk-" + command->get_name(), page_of(*command)));
    return {};
}

}  // namespace

void add_manual(CLI::App& app, int& exit_code) {
    auto folder = std::make_shared<std::string>();
    CLI::App* command = app.add_subcommand("manual", "Write the man pages of all commands into a folder");
    command
        ->add_option(
            "FOLDER", *folder,
            "Write atlas-vk.1, atlas-vk-run.1, ... here; the folder is made if missing, existing pages are replaced")
        ->required()
        ->type_name("FOLDER");
    command->callback([&app, folder, &exit_code] {
        if (const auto done = write_pages(app, *folder); !done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
