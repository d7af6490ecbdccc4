#include "runtime/text/token_origin.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/base/in_quotes.h"
#include "runtime/text/byte_alphabet.h"
#include "runtime/text/marked_text.h"
#include "runtime/text/utf8.h"

namespace atlas {
namespace {

bool is_one_character(std::string_view spelling) {
    return !spelling.empty() && utf8::first(spelling).bytes == spelling.size();
}

std::vector<bool> made_by_merges(const Vocabulary& vocabulary) {
    std::vector<bool> made(vocabulary.n_vocab());
    for (TokenId id = 0; id < vocabulary.n_vocab(); ++id)
        made[id] = is_one_character(vocabulary.spellings[id]) &&
                   (vocabulary.model != "gpt2" || bytes_of_spelling(vocabulary.spellings[id]));
    std::string joined;
    for (const std::string& merge : vocabulary.merges) {
        const size_t space = merge.find(' ', 1);
        if (space == std::string::npos) continue;
        joined.assign(merge, 0, space).append(merge, space + 1);
        if (const auto id = vocabulary.find(joined)) made[*id] = true;
    }
    return made;
}

std::vector<bool> made_of_two(const Vocabulary& vocabulary) {
    std::vector<bool> made(vocabulary.n_vocab());
    for (TokenId id = 0; id < vocabulary.n_vocab(); ++id) {
        const std::string_view spelling = vocabulary.spellings[id];
        made[id] = is_one_character(spelling);
        for (size_t cut = 1; cut < spelling.size() && !made[id]; ++cut)
            made[id] = vocabulary.find(spelling.substr(0, cut)) && vocabulary.find(spelling.substr(cut));
    }
    return made;
}

bool looks_special(std::string_view spelling) {
    return spelling.size() > 2 &&
           ((spelling.front() == '<' && spelling.back() == '>') || (spelling.front() == '[' && spelling.back() == ']'));
}

}  // namespace

std::vector<bool> tokens_made_of_text(const Vocabulary& vocabulary) {
    return vocabulary.model == "llama" ? made_of_two(vocabulary) : made_by_merges(vocabulary);
}

void draft_kinds(Vocabulary& vocabulary, const std::vector<TokenId>& declared) {
    const bool has_byte_alphabet = vocabulary.model == "gpt2";
    const std::vector<bool> made = tokens_made_of_text(vocabulary);
    for (TokenId id = 0; id < vocabulary.n_vocab(); ++id) {
        if (made[id]) continue;
        if (!has_byte_alphabet && byte_of_spelling(vocabulary.spellings[id]))
            vocabulary.kinds[id] = TokenKind::byte;
        else if (looks_special(vocabulary.spellings[id]))
            vocabulary.kinds[id] = TokenKind::control;
        else if (has_byte_alphabet)
            vocabulary.kinds[id] = TokenKind::user_defined;
    }
    for (const TokenId id : declared) vocabulary.kinds[id] = TokenKind::control;
    if (vocabulary.unknown) vocabulary.kinds[*vocabulary.unknown] = TokenKind::unknown;

    const auto n_special = std::count(vocabulary.kinds.begin(), vocabulary.kinds.end(), TokenKind::control);
    const auto first = std::find(vocabulary.kinds.begin(), vocabulary.kinds.end(), TokenKind::control);
    vocabulary.notes.push_back(fmt::format(
        "the file does not say which tokens are special (tokenizer.ggml.token_type is missing); {}",
        n_special == 0
            ? std::string("none looks special")
            : fmt::format("{} that no text encodes to are treated as special, the first is {}", n_special,
                          in_quotes(vocabulary.spellings[static_cast<size_t>(first - vocabulary.kinds.begin())]))));
}

}  // namespace atlas
