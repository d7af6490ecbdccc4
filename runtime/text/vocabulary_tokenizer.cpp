#include "runtime/text/vocabulary_tokenizer.h"

#include <algorithm>

namespace atlas {

VocabularyTokenizer::VocabularyTokenizer(Vocabulary vocabulary, bool add_bos, bool add_eos)
    : vocabulary_(std::move(vocabulary)),
      special_tokens_(vocabulary_),
      add_bos_(vocabulary_.add_bos.value_or(add_bos)),
      add_eos_(vocabulary_.add_eos.value_or(add_eos)) {}

std::vector<TokenId> VocabularyTokenizer::encode(std::string_view text, const EncodeOptions& options) const {
    std::vector<TokenId> tokens;
    if (options.add_special && add_bos_ && vocabulary_.bos) tokens.push_back(*vocabulary_.bos);
    bool begins = true;
    for (const Fragment& fragment : special_tokens_.partition(text, options.parse_special)) {
        if (fragment.token)
            tokens.push_back(*fragment.token);
        else
            encode_plain(fragment.text, begins, tokens);
        begins = fragment.token.has_value();
    }
    if (options.add_special && add_eos_ && vocabulary_.eos) tokens.push_back(*vocabulary_.eos);
    return tokens;
}

std::string VocabularyTokenizer::piece(TokenId token, bool special) const {
    if (token >= n_vocab()) return {};
    switch (vocabulary_.kinds[token]) {
        case TokenKind::control:
        case TokenKind::unknown:
            return special ? vocabulary_.spellings[token] : std::string();
        case TokenKind::user_defined:
            return vocabulary_.spellings[token];
        case TokenKind::unused:
            return {};
        case TokenKind::normal:
        case TokenKind::byte:
            return plain_piece(token);
    }
    return {};
}

bool VocabularyTokenizer::is_end_of_generation(TokenId token) const {
    return std::binary_search(vocabulary_.end_of_generation.begin(), vocabulary_.end_of_generation.end(), token);
}

}  // namespace atlas
