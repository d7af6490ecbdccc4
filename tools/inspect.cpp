// atlas-vk inspect: what is inside a GGUF file.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "tools/fit_columns.h"
#include "tools/inspect_report.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/subcommands.h"
#include "tools/terminal_text.h"

namespace atlas::tools {
namespace {

constexpr size_t kShortArray = 16;

struct InspectFlags {
    std::string file;
    bool json = false;
    bool tensors = false;
    bool keys = false;
    bool chat_template = false;
};

void add_summary(const gguf::File& file, std::string& out) {
    const InspectReport report = inspect_report(file);
    uint32_t n_parts = 1;
    for (const gguf::TensorInfo& tensor : file.tensors()) n_parts = std::max(n_parts, tensor.part + 1);
    out += fmt::format("{}\n  {:<16}GGUF version {}, {}{}, {}, {}\n", printable(file.path().string(), 400), "file",
                       file.version(), bytes_text(file.file_bytes()),
                       n_parts > 1 ? fmt::format(" in {} parts", n_parts) : "",
                       count_of(file.key_values().size(), "key"), count_of(file.tensors().size(), "tensor"));
    for (const auto& [label, words] : report.facts) out += fmt::format("  {:<16}{}\n", label, words);
    if (report.formats.empty()) return;
    out += fmt::format("\nformats\n  {:<10}{:>9}{:>12}{:>12}{:>14}\n", "format", "tensors", "weights", "size",
                       "bits each");
    for (const FormatShare& share : report.formats) {
        const double bits =
            share.elems > 0 ? 8.0 * static_cast<double>(share.bytes) / static_cast<double>(share.elems) : 0.0;
        out += fmt::format("  {:<10}{:>9}{:>12}", share.format, share.n_tensors, count_text(share.elems));
        out += share.readable ? fmt::format("{:>12}{:>14.4g}\n", bytes_text(share.bytes), bits)
                              : "    not supported by this build\n";
    }
}

void add_keys(const gguf::File& file, std::string& out) {
    size_t key_width = 0, type_width = 0;
    for (const gguf::KeyValue& entry : file.key_values()) {
        key_width = std::max(key_width, std::min<size_t>(entry.key.size(), 48));
        type_width = std::max(type_width, value_type_text(entry).size());
    }
    out += "keys\n";
    for (const gguf::KeyValue& entry : file.key_values()) {
        out += fmt::format("  {:<{}}  {:<{}}  {}\n", printable(entry.key, 200), key_width, value_type_text(entry),
                           type_width, value_text(entry));
    }
}

void add_tensors(const gguf::File& file, std::string& out) {
    size_t width = 4;
    for (const gguf::TensorInfo& tensor : file.tensors())
        width = std::max(width, std::min<size_t>(tensor.name.size(), 64));
    out +=
        fmt::format("tensors\n  {:<{}}  {:<8}{:>12}  {}\n", "name", width, "format", "size", "shape (outermost first)");
    for (const gguf::TensorInfo& tensor : file.tensors()) {
        out +=
            fmt::format("  {:<{}}  {:<8}{:>12}  {}\n", printable(tensor.name, 200), width, type_name(tensor.gguf_type),
                        tensor.format ? bytes_text(tensor.bytes) : "?", shape_text(tensor));
    }
}

Result<std::string> inspect_text(const InspectFlags& flags) {
    ATLAS_TRY(const auto path, find_model(flags.file));
    ATLAS_TRY(const auto file, gguf::File::open(path));
    if (flags.chat_template) {
        ATLAS_TRY(const std::string_view text, file.string("tokenizer.chat_template"));
        return for_stdout(text);
    }
    if (flags.json) return inspect_json(file, flags.keys ? std::numeric_limits<size_t>::max() : kShortArray) + "\n";
    std::string out;
    const bool all = !flags.keys && !flags.tensors;
    if (all) add_summary(file, out);
    if (all) out += "\n";
    if (all || flags.keys) add_keys(file, out);
    if (flags.keys && flags.tensors) out += "\n";
    if (flags.tensors) add_tensors(file, out);
    return output_columns() > 0 ? fit_columns(out, output_columns()) : out;
}

Result<void> inspect(const InspectFlags& flags) {
    ATLAS_TRY(const std::string out, inspect_text(flags));
    std::fwrite(out.data(), 1, out.size(), stdout);  // main checks that all of it was written
    return {};
}

}  // namespace

void add_inspect(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<InspectFlags>();
    CLI::App* command = app.add_subcommand("inspect", "Show what is inside a GGUF file: model, formats, keys, tensors");
    command
        ->add_option("FILE", flags->file,
                     "Read this file: any part of a split model will do, and a file with only a vocabulary")
        ->required()
        ->type_name("");
    command->add_flag("--keys", flags->keys,
                      "Show only the keys and their values, long arrays cut short (with --json: arrays in full)");
    command->add_flag("--tensors", flags->tensors, "Show only the table of tensors: name, format, size, shape");
    auto* chat_template =
        command->add_flag("--template", flags->chat_template,
                          "Show only the chat template, byte for byte (on a terminal control characters as escapes)");
    command->add_flag("--json", flags->json, "Print everything as one JSON object")->excludes(chat_template);
    command->footer("Exit codes: 0 shown, 1 the file cannot be read (the reason goes to stderr), 2 wrong usage.");
    command->callback([flags, &exit_code] {
        if (const auto done = inspect(*flags); !done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
