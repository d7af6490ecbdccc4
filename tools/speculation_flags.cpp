// --lookup and --draft-max: who guesses for run and chat.
#include "runtime/base/mapped_file.h"
#include "runtime/session/lookup.h"
#include "tools/open_model.h"

namespace atlas::tools {

namespace {

bool is_word(const std::vector<std::string>& values, const char* word) { return values.size() == 1 && values.front() == word; }

}  // namespace

void add_speculation_flags(CLI::App& command, SpeculationFlags& flags) {
    const std::string group = "Speculation";
    command.add_option("--lookup", flags.lookup,
                       "Guess that text goes on as it did before, and check several guesses in one step: on, off, or a file that the answer may quote (may be "
                       "given more than once). The answer is the same either way")
        ->expected(1)
        ->take_all()
        ->capture_default_str()
        ->group(group);
    command.add_option("--draft-max", flags.draft_max, "Most guesses per step; 0: none")->check(CLI::Range(0u, kMostTokensAlike - 1))->capture_default_str()->group(group);
}

uint32_t rows_for(const SpeculationFlags& flags) { return is_word(flags.lookup, "off") ? 1 : flags.draft_max + 1; }

Result<std::unique_ptr<Speculators>> make_speculation(const SpeculationFlags& flags, const Tokenizer& tokenizer) {
    if (flags.draft_max == 0 || is_word(flags.lookup, "off")) return nullptr;
    auto lookup = std::make_unique<LookupSpeculator>();
    for (const std::string& path : flags.lookup) {
        if (is_word(flags.lookup, "on")) break;
        ATLAS_TRY(const MappedFile file, MappedFile::open(path));
        const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
        auto added = lookup->add_file(tokenizer.encode(text, {.add_special = false, .parse_special = false}));
        if (!added) return fail_in(path, added.error());
    }
    std::vector<std::unique_ptr<Speculator>> who;
    who.push_back(std::move(lookup));
    return std::make_unique<Speculators>(std::move(who), flags.draft_max);
}

}  // namespace atlas::tools
