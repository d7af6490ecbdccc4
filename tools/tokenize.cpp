// atlas-vk tokenize: text to token ids, from any GGUF file that holds a vocabulary.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/base/json_text.h"
#include "runtime/gguf/reader.h"
#include "runtime/text/tokenizer.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

struct TokenizeFlags {
    std::string model;
    std::string text = "-";
    bool no_special = false;
    bool json = false;
};

Result<std::string> read_stdin() {
    std::string text;
    char buffer[1 << 16];
    for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, stdin)) > 0;) text.append(buffer, n);
    if (std::ferror(stdin) != 0) return fail(ErrorCode::io, "cannot read standard input");
    return text;
}

// A piece may be a part of a character, which JSON cannot hold; "bytes" is always exact.
nlohmann::ordered_json token_as_json(const Tokenizer& tokenizer, TokenId id) {
    const std::string piece = tokenizer.piece(id, true);
    nlohmann::ordered_json token = {{"id", id}, {"piece", piece}};
    std::string hex;
    for (const char c : piece) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
    token["bytes"] = hex;
    return token;
}

Result<void> tokenize(const TokenizeFlags& flags) {
    ATLAS_TRY(const auto path, find_model(flags.model));
    ATLAS_TRY(const auto file, gguf::File::open(path));
    ATLAS_TRY(const auto tokenizer, Tokenizer::load(file));
    for (const std::string& line : tokenizer->notes()) print_note(line);
    std::string text = flags.text;
    if (text == "-") {
        ATLAS_TRY(text, read_stdin());
    }
    const auto ids = tokenizer->encode(text, {.add_special = !flags.no_special, .parse_special = !flags.no_special});

    std::string out;
    if (flags.json) {
        nlohmann::ordered_json tokens = nlohmann::ordered_json::array();
        for (const TokenId id : ids) tokens.push_back(token_as_json(*tokenizer, id));
        const nlohmann::ordered_json all = {{"n_tokens", ids.size()}, {"tokens", tokens}};
        out = json_text(all);
    } else {
        out = fmt::format("{}", fmt::join(ids, " "));
    }
    out.push_back('\n');
    std::fwrite(out.data(), 1, out.size(), stdout);  // main checks that all of it was written
    return {};
}

}  // namespace

void add_tokenize(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<TokenizeFlags>();
    CLI::App* command = app.add_subcommand("tokenize", "Print the token ids of a text, as the model would see it");
    command
        ->add_option("-m,--model", flags->model,
                     "Use this model: a stored name or a GGUF file, also one that holds only a vocabulary")
        ->required()
        ->type_name("FILE");
    command->add_option("TEXT", flags->text, "Tokenize this text; - (the default) reads standard input byte for byte")
        ->type_name("");
    command->add_flag("--no-special", flags->no_special,
                      "Add no BOS or EOS, and take special tokens in the text (<|im_end|> ...) as plain text");
    command->add_flag("--json", flags->json,
                      "Print {\"n_tokens\", \"tokens\": [{\"id\", \"piece\", \"bytes\" (hex)}]} instead of ids");
    command->callback([flags, &exit_code] {
        if (const auto done = tokenize(*flags); !done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
